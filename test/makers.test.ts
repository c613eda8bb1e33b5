/** Every fixture has its maker script beside it. The scripts are Python; run them with `--check` after a change. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const fixtures = join(import.meta.dir, "fixtures");
const read = (file: string) => Bun.file(join(fixtures, file)).text();
const listFiles = (folder: string, pattern = "**/*") => [
  ...new Bun.Glob(pattern).scanSync(join(fixtures, folder)),
];

test("every fixture folder has a maker that states its command and versions", async () => {
  for (const folder of readdirSync(fixtures)) {
    expect([folder, listFiles(folder, "make.py")]).toEqual([folder, ["make.py"]]);
    const [, docstring] = (await read(`${folder}/make.py`)).split('"""');
    expect(docstring).toMatch(/^ {4}\S*python \S*make\.py/m);
    expect(docstring).toMatch(/\(.*\d+\.\d+.*\)/);
  }
});

test("every golden file is named in its maker, and the README states the commands", async () => {
  const parts = listFiles("golden", "maker/*.py");
  // "dtw_{s}.json and aligned_{s}_{soft,hard}.json: tokens aligned …"
  const named = await Promise.all(
    parts.map(async (part) => {
      const [, names] = (await read(`golden/${part}`)).match(/^"""([^\n]*?): /) ?? [];
      return (names ?? "").split(/, (?![^{]*})| and /).filter((name) => /[./]/.test(name));
    }),
  );
  const pattern = (name: string) => (name.endsWith("/") ? `${name}**` : name).replace(/{\w+}/g, "*");
  const globs = named.flat().map((name) => new Bun.Glob(pattern(name)));
  const given = ["README.md", "texts.json", "make.py", ...parts];
  const orphans = listFiles("golden").filter(
    (file) =>
      !given.includes(file) && !file.includes("__pycache__") && !globs.some((glob) => glob.match(file)),
  );
  expect(orphans).toEqual([]);
  const readme = await read("golden/README.md");
  for (const command of ["python make.py", "python make.py --check"]) expect(readme).toContain(command);
  for (const name of named.flat()) expect(readme).toContain(name.split(".")[0]);
});

test("no fixture contains a path of the machine it was made on", async () => {
  for (const file of listFiles("")) {
    const text = new TextDecoder("latin1").decode(await Bun.file(join(fixtures, file)).arrayBuffer());
    expect([file, text.match(/\/(work|home|root|Users)\/\w+/)?.[0]]).toEqual([file, undefined]);
  }
});
