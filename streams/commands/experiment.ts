/** @file The command `bun run experiment`. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { command, interruptible, parseOptions } from "../../src/cli/command.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../config/config.ts";
import { type Assignment, readExperiment } from "../config/config-file.ts";
import { fetchModels } from "../models/hub.ts";
import { parseValue } from "../config/layers.ts";
import { type Bits, type Results, experiment } from "../experiment/experiment.ts";
import { page, plot, table } from "../experiment/report.ts";

const help = `Trains a target in several ways on the same tokens, and measures what each is worth.

  bun run experiment [experiment.yaml] [options]     without one: demo/experiment.yaml

  --set path=value   changes a setting of all arms; may be given several times
  --seeds 1,2,3      orders of the text, in place of the file's
  --baseline ARM     what the others are compared with (the first arm)
  --out DIR          where the result goes
  --restart          forgets the seeds that are done; else they are kept
  --help

The file is a configuration of \`bun run fuse\` with "seeds" and "arms" besides: each arm is a name and
the settings in which it differs. All arms read the same text, and the teachers run once for all of
them. DIR then holds results.json, table.md, plot.svg and report.html.`;

const options = {
  set: { type: "string", multiple: true, default: [] as string[] },
  seeds: { type: "string" },
  baseline: { type: "string" },
  out: { type: "string" },
  restart: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

const show = (bits: Bits) =>
  Object.entries(bits)
    .map(([domain, value]) => `${domain} ${value.toFixed(4)}`)
    .join(", ");

/** What an earlier, interrupted experiment with the same settings came to. */
function earlier(path: string, settings: string): Results | undefined {
  if (!existsSync(path)) return undefined;
  const found = JSON.parse(readFileSync(path, "utf8")) as Results & { settings: string };
  if (found.settings === settings) return found;
  throw new UserError(`${path}: is of other settings; give another --out, or --restart`);
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  const [path = resolve(import.meta.dir, "../../demo/experiment.yaml")] = positionals;
  const assignments: Assignment[] = [...values.set];
  if (values.out !== undefined) assignments.push({ option: "--out", key: "out", value: values.out });
  if (values.seeds !== undefined)
    assignments.push({ option: "--seeds", key: "seeds", value: parseValue(`[${values.seeds}]`, "--seeds") });
  const { seeds, arms: given } = readExperiment(path, assignments);
  const arms: [string, Config][] = [];
  for (const [name, config] of given) arms.push([name, await fetchModels(config)]);
  const [[first, { out }]] = arms;
  const baseline = values.baseline ?? first;
  if (!arms.some(([name]) => name === baseline))
    throw new UserError(`--baseline ${baseline}: expected one of ${arms.map(([name]) => name).join(", ")}`);
  const file = join(out, "results.json");
  const settings = JSON.stringify(arms);
  let results = values.restart ? undefined : earlier(file, settings);
  const done = new Set(results?.outcomes.map(({ seed }) => seed));
  await mkdir(out, { recursive: true });
  const save = async (found: Results) => {
    results = { ...found, outcomes: [...(results?.outcomes ?? []), ...found.outcomes] };
    await writeFile(`${file}.next`, `${JSON.stringify({ settings, ...results }, null, 1)}\n`);
    await rename(`${file}.next`, file);
    await writeFile(join(out, "table.md"), `${table(results, baseline)}\n`);
    await writeFile(join(out, "plot.svg"), plot(results, baseline));
    const made = ["bun run experiment", ...args].join(" ");
    await writeFile(join(out, "report.html"), page(results, baseline, made));
  };
  const began = performance.now();
  await interruptible("stopping; what is done is kept", async (signal) => {
    const left = seeds.filter((seed) => !done.has(seed));
    for (const [index, seed] of left.entries())
      await save(
        await experiment(arms, seed, signal, {
          bounds: (bounds) => {
            if (seed !== seeds[0]) return;
            for (const [name, bits] of Object.entries(bounds))
              process.stderr.write(`${name}: ${show(bits)}\n`);
          },
          step(step, steps) {
            if (step % 10 && step !== steps) return;
            const share = (index + step / steps) / left.length;
            const seconds = ((performance.now() - began) / 1000) * (1 / share - 1);
            process.stderr.write(
              `seed ${seed}, step ${step}/${steps}, ${Math.ceil(seconds / 60)} min left\n`,
            );
          },
          outcome: ({ arm, bits }) => void process.stderr.write(`seed ${seed}, ${arm}: ${show(bits)}\n`),
        }),
      );
  });
  console.log(table(results!, baseline));
  process.stderr.write(`the report is ${join(relative(process.cwd(), out), "report.html")}\n`);
  return 0;
}

await command("experiment", main);
