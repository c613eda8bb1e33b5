/** @file The command `bun run inspect`. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { command, parseOptions } from "../../src/cli/command.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { readConfig } from "../config/config-file.ts";
import { page, terminalTable } from "../inspect/report.ts";
import { inspect } from "../inspect/inspect.ts";

const help = `Shows what the teachers say of a text, token by token, and what is fused of it.

  bun run inspect --text "…" [config.yaml] [options]     without a config: demo/fuse.yaml

  --text TEXT        the text
  --set path=value   changes a setting of the config; may be given several times
  --top N            candidates shown of each teacher (3)
  --html FILE        writes a page with the same, in colours
  --help

Each line is about one token of the target's. A star stands before the teacher with the largest part in
the fused target. Numbers are percent: of each teacher its own probabilities, and at the end what none of
its candidates has, which "tail: text" leaves to the text.`;

const options = {
  text: { type: "string" },
  set: { type: "string", multiple: true, default: [] as string[] },
  top: { type: "string", default: "3" },
  html: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (!values.text) throw new UserError('--text: expected a text, such as --text "In the beginning"');
  const top = Number(values.top);
  if (!(Number.isInteger(top) && top > 0))
    throw new UserError(`--top ${values.top}: expected a number from 1 on`);
  const [path = resolve(import.meta.dir, "../../demo/fuse.yaml")] = positionals;
  const found = await inspect(readConfig(path, values.set), values.text, top);
  console.log(terminalTable(found, process.stdout.columns || 140));
  if (values.html) {
    await writeFile(values.html, page(found));
    process.stderr.write(`the page is ${values.html}\n`);
  }
  return 0;
}

await command("inspect", main);
