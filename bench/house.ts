/** @file The limits on files, functions and names: `bun run house` prints where the code stands. */
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const folders = ["src", "streams", "server"];

export const maxFileLines = 250;
export const maxMedianLines = 110;

export interface FileLength {
  readonly file: string;
  readonly lines: number;
}

/** The lengths of all TypeScript files in the given folders, longest first. */
export async function measureFiles(folders: readonly string[]): Promise<FileLength[]> {
  const files = [...new Bun.Glob(`{${folders.join(",")}}/**/*.ts`).scanSync(root)].sort();
  const lengths = files.map(async (file) => {
    const text = await Bun.file(join(root, file)).text();
    return { file, lines: text.split("\n").length - 1 };
  });
  return (await Promise.all(lengths)).sort((a, b) => b.lines - a.lines);
}

/** The lengths of the code that the limits apply to. */
export const measureCode = () => measureFiles(folders);

/** @param lengths sorted */
export const medianLines = (lengths: readonly FileLength[]) => lengths[lengths.length >> 1].lines;

/** "file:line: function" of each function longer than the limit in house.oxlint.json; forward passes are within it. */
export function findLongFunctions(): string[] {
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
  const config = join(import.meta.dir, "house.oxlint.json");
  const { stdout, stderr } = Bun.spawnSync(
    [process.execPath, oxlint, "-c", config, "--format", "json", ...folders],
    { cwd: root },
  );
  const { diagnostics, number_of_files } = JSON.parse(stdout.toString() || "{}");
  if (!number_of_files) throw new Error(`oxlint checked no files: ${stderr.toString()}`);
  return diagnostics.map(
    ({ filename, labels, message }: any) => `${filename}:${labels[0].span.line}: ${message.split(". ")[0]}`,
  );
}

/** Names in place of which a verb may be better, such as weightsOf, and how often they occur; predicates may stay. */
async function findGenitives(): Promise<[string, number][]> {
  const builtIn = new Set(["indexOf", "lastIndexOf", "valueOf"]);
  const counts = new Map<string, number>();
  for (const { file } of await measureCode())
    for (const [name] of (await Bun.file(join(root, file)).text()).matchAll(/\b[a-z]\w*Of\b/g))
      if (!builtIn.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

if (import.meta.main) {
  const lengths = await measureCode();
  const { file, lines } = lengths[0];
  console.log(`${lengths.length} files, median ${medianLines(lengths)} lines, longest ${lines} (${file})`);
  const report = (title: string, items: readonly string[]) => {
    console.log(`${title}: ${items.length}`);
    for (const item of items) console.log(`  ${item}`);
  };
  const long = lengths.filter(({ lines }) => lines > maxFileLines);
  report(
    `files over ${maxFileLines} lines`,
    long.map(({ file, lines }) => `${file}: ${lines}`),
  );
  report("functions over the limit", findLongFunctions());
  report(
    "names ending in Of",
    (await findGenitives()).map(([name, count]) => `${name} (${count})`),
  );
}
