/** The architecture as a test: who may import whom, exact versions, no drawers, no long files or functions. */
import { expect, test } from "bun:test";
import { dirname, join, relative, resolve } from "node:path";
import { findLongFunctions, maxFileLines, maxMedianLines, measureCode, medianLines } from "../bench/house.ts";

const root = resolve(import.meta.dir, "..");
const files = [...new Bun.Glob("{src,streams,server,test,bench}/**/*.ts").scanSync(root)].filter(
  (file) => !file.includes("fixtures"),
);

const read = (file: string) => Bun.file(join(root, file)).text();

/** Modules that a file imports, types and worker URLs included; relative ones as paths from the root. */
async function readImports(file: string): Promise<string[]> {
  const found = (await read(file)).matchAll(
    /\b(?:from|import|require)\s*\(?\s*"([^"]+)"|\b(?:new URL|import\.meta\.resolve)\(\s*"(\.[^"]+\.ts)"/g,
  );
  return Array.from(found, ([, path, url]) => path ?? url).map((path) =>
    path.startsWith(".") ? relative(root, resolve(root, dirname(file), path)) : path,
  );
}

/** "src/graph" for "src/graph/ops.ts", "streams" for "streams/pipeline.ts", "test" for "test/graph/graph.test.ts". */
const parentFolder = (file: string) => (/^(src|streams)\//.test(file) ? dirname(file) : file.split("/")[0]);

/** Whether a rule covers a folder: "streams/run" itself, "src/*" all folders below src. */
const covers = (rule: string, folder: string) =>
  rule === folder || (rule.endsWith("/*") && folder.startsWith(rule.slice(0, -1)));

const allowed: Record<string, readonly string[]> = {
  "src/flow": [],
  "src/files": [],
  "src/graph": [],
  "src/data": [],
  "src/cli": [],
  "src/docs": [],
  "src/random": [],
  "src/autodiff": ["src/graph"],
  "src/weights": ["src/files", "src/graph"],
  "src/onnx": ["src/graph", "src/weights"],
  "src/models": ["src/files", "src/graph", "src/weights"],
  "src/text": ["src/files"],
  "src/chat": ["src/files", "src/text"],
  "src/settings": [],
  "src/fusion": ["src/settings", "src/text"],
  "src/evaluate": ["src/text"],
  "src/hub": ["src/files", "src/weights"],
  "src/export": ["src/files", "src/graph", "src/models", "src/onnx", "src/text", "src/weights"],
  "src/adapters": ["src/export", "src/files", "src/graph", "src/models", "src/random", "src/weights"],
  "src/score": ["src/graph", "src/models", "src/onnx", "src/weights"],
  "src/generate": [
    "src/adapters",
    "src/flow",
    "src/graph",
    "src/models",
    "src/onnx",
    "src/random",
    "src/score",
    "src/weights",
  ],
  "src/train": [
    "src/adapters",
    "src/graph",
    "src/autodiff",
    "src/export",
    "src/models",
    "src/onnx",
    "src/score",
    "src/weights",
  ],
  "src/teachers": ["src/flow", "src/models", "src/onnx", "src/score", "src/text", "src/weights"],
  "streams/stages": ["src/*", "streams"],
  "streams/config": ["src/*"],
  "streams/models": ["src/*", "streams", "streams/config", "streams/stages"],
  streams: ["src/*", "streams/config", "streams/stages"],
  "streams/run": ["src/*", "streams", "streams/config", "streams/models", "streams/stages"],
  "streams/experiment": [
    "src/*",
    "streams",
    "streams/config",
    "streams/models",
    "streams/run",
    "streams/stages",
  ],
  "streams/inspect": [
    "src/*",
    "streams",
    "streams/config",
    "streams/models",
    "streams/run",
    "streams/stages",
  ],
  "streams/commands": [
    "src/*",
    "streams/config",
    "streams/experiment",
    "streams/inspect",
    "streams/models",
    "streams/run",
    "streams/stages",
  ],
  server: ["src/*"],
  bench: ["src/*", "streams", "streams/*", "server"],
  test: ["src/*", "streams", "streams/*", "server", "bench"],
};

test("a folder imports only what the design allows", async () => {
  const wrong: string[] = [];
  for (const file of files) {
    const folder = parentFolder(file);
    expect(Object.keys(allowed)).toContain(folder);
    for (const imported of await readImports(file)) {
      const to = parentFolder(imported);
      const isOurs = /^(src|streams|server|test|bench)\//.test(imported);
      if (isOurs && to !== folder && !allowed[folder].some((rule) => covers(rule, to)))
        wrong.push(`${file} → ${imported}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("a stage imports no other stage", async () => {
  const stages = files.filter((file) => file.startsWith("streams/stages/"));
  expect(stages).toContain("streams/stages/align.ts");
  const wrong: string[] = [];
  for (const stage of stages)
    for (const imported of await readImports(stage))
      if (/^(streams|server)\//.test(imported) && imported !== "streams/records.ts")
        wrong.push(`${stage} → ${imported}`);
  expect(wrong).toEqual([]);
});

test("ONNX Runtime is imported in one file, and by Transformers.js in a test and a bench, all after telemetry is off", async () => {
  const importing: string[] = [];
  for (const file of files) {
    const imports = await readImports(file);
    const runtime = imports.findIndex((path) => /^(onnxruntime-|@huggingface\/transformers)/.test(path));
    if (runtime < 0) continue;
    importing.push(file);
    expect([file, imports.slice(0, runtime)]).toEqual([
      file,
      expect.arrayContaining(["src/onnx/no-telemetry.ts"]),
    ]);
  }
  expect(importing.sort()).toEqual(["bench/serve.ts", "src/onnx/runtime.ts", "test/export/export.test.ts"]);
});

/** Modules that importing a file loads, with the import chain to each; type-only imports load nothing. */
async function loadedModules(entry: string): Promise<Map<string, string>> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const chains = new Map([[entry, entry]]);
  for (const [file, chain] of chains) {
    if (!file.endsWith(".ts")) continue;
    for (const { path } of transpiler.scanImports(await read(file))) {
      const module = path.startsWith(".") ? relative(root, resolve(root, dirname(file), path)) : path;
      if (!chains.has(module)) chains.set(module, `${chain} → ${module}`);
    }
  }
  return chains;
}

test("no command and no server loads ONNX Runtime: only workers, started by their URL, do", async () => {
  const entries = files.filter((file) => /^streams\/commands\/|^server\/.*main\.ts$/.test(file));
  expect(entries).toContain("streams/commands/fuse.ts");
  expect(entries).toContain("server/main.ts");
  for (const entry of entries)
    expect((await loadedModules(entry)).get("onnxruntime-node") ?? "not loaded").toBe("not loaded");
  for (const worker of ["src/train/worker.ts", "src/score/worker.ts", "src/generate/worker.ts"])
    expect((await loadedModules(worker)).has("onnxruntime-node")).toBe(true);
});

test("dependencies have exact versions, the same in both lock files", async () => {
  const { dependencies, devDependencies } = await Bun.file(join(root, "package.json")).json();
  const npm = await Bun.file(join(root, "package-lock.json")).json();
  const bun = await Bun.file(join(root, "bun.lock")).text();
  for (const [name, version] of Object.entries<string>({ ...dependencies, ...devDependencies })) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(npm.packages[`node_modules/${name}`].version).toBe(version);
    expect(bun).toContain(`"${name}@${version}"`);
  }
});

test("no file or folder is a drawer", () => {
  const drawer = /(^|[/-])(utils?|helpers?|common|shared|misc|index|lib)(\/|-|\.ts$)/;
  expect(files.filter((file) => drawer.test(file))).toEqual([]);
});

test("no file is a barrel: none exports another one's names", async () => {
  const barrels: string[] = [];
  for (const file of files)
    if (/^export (type )?(\*|\{[^}]*\}) *(as \w+ )?from/m.test(await read(file))) barrels.push(file);
  expect(barrels).toEqual([]);
});

test("no file is longer than 250 lines, and the median is under 110", async () => {
  const lengths = await measureCode();
  expect(lengths.filter(({ lines }) => lines > maxFileLines)).toEqual([]);
  expect(medianLines(lengths)).toBeLessThan(maxMedianLines);
});

test("no function is longer than 80 lines", () => expect(findLongFunctions()).toEqual([]));

test("the pipeline fits on one screen", async () => {
  const lines = (await read("streams/pipeline.ts")).split("\n");
  expect(lines.length).toBeLessThanOrEqual(75);
});
