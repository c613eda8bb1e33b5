/** @file The command `bun run inspect`. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { command } from "../../src/cli/command.ts";
import {
  type Options,
  describe,
  helpOption,
  parse,
  parseWholeNumber,
  setOption,
} from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { readConfig } from "../config/config-file.ts";
import { inspect } from "../inspect/inspect.ts";
import { page } from "../inspect/page.ts";
import { terminalTable } from "../inspect/terminal-table.ts";

const options = {
  text: { type: "string", value: "TEXT", help: "the text" },
  set: { ...setOption, help: "overrides a setting of the config; repeatable" },
  top: { type: "string", value: "N", default: "3", help: "candidates to show of each teacher" },
  html: { type: "string", value: "FILE", help: "also writes a page with colours" },
  help: helpOption,
} as const satisfies Options;

const help = `Shows what each teacher predicts of a text, token by token, and what is fused of it.

  bun run inspect --text "…" [config.yaml] [options]     without a config: demo/fuse.yaml

${describe(options)}

Each line is about one token of the target's. A star marks the teacher with the largest part in the fused
target. Numbers are percent: of each teacher its own probabilities, and at the end the rest that none of its
candidates has, which "tail: text" leaves to the text.`;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, options, { allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (!values.text) throw new UserError('--text: expected a text, such as --text "In the beginning"');
  const top = parseWholeNumber("--top", values.top);
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
