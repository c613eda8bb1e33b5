/** The architecture as a test: who may import whom, exact versions, no drawers, no long files. */
import { expect, test } from "bun:test";
import { dirname, join, relative, resolve } from "node:path";
import { findLongFunctions, maxFileLines, maxMedianLines, measureCode, medianLines } from "../bench/house.ts";

const root = resolve(import.meta.dir, "..");
const files = [...new Bun.Glob("{src,streams,server,test,bench}/**/*.ts").scanSync(root)].filter(
  (file) => !file.includes("fixtures"),
);

/** Relative imports of a file, types included, as paths from the root. */
async function importsOf(file: string): Promise<string[]> {
  const text = await Bun.file(join(root, file)).text();
  const found = text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"|new URL\("(\.[^"]+\.ts)"/g);
  return [...found].map(([, path, url]) => relative(root, resolve(root, dirname(file), path ?? url)));
}

/** "src/graph" of "src/graph/ops.ts", "streams" of "streams/pipeline.ts", "test" of "test/graph/graph.test.ts". */
const folderOf = (file: string) => (/^(src|streams)\//.test(file) ? dirname(file) : file.split("/")[0]);

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
  "src/fusion": ["src/text"],
  "src/evaluate": ["src/text"],
  "src/hub": ["src/files", "src/weights"],
  "src/export": ["src/files", "src/graph", "src/models", "src/onnx", "src/text", "src/weights"],
  "src/score": ["src/graph", "src/models", "src/onnx", "src/weights"],
  "src/generate": [
    "src/flow",
    "src/graph",
    "src/models",
    "src/onnx",
    "src/random",
    "src/score",
    "src/weights",
  ],
  "src/train": [
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

test("a folder imports only what the design allows it", async () => {
  const wrong: string[] = [];
  for (const file of files) {
    const folder = folderOf(file);
    expect(Object.keys(allowed)).toContain(folder);
    for (const imported of await importsOf(file)) {
      const to = folderOf(imported);
      if (to !== folder && !allowed[folder].some((rule) => covers(rule, to)))
        wrong.push(`${file} → ${imported}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("a stage imports no other stage", async () => {
  for (const stage of files.filter((file) => file.startsWith("streams/stages/")))
    for (const imported of await importsOf(stage)) expect(imported).toMatch(/^src\/|^streams\/records\.ts$/);
});

test("one file imports ONNX Runtime, after telemetry is off", async () => {
  const importing: string[] = [];
  for (const file of files)
    if (/^import .*"onnxruntime-node"/m.test(await Bun.file(join(root, file)).text())) importing.push(file);
  expect(importing).toEqual(["src/onnx/runtime.ts"]);
});

/** Modules that importing a file loads, with the import chain to each; type-only imports load nothing. */
async function loadedModules(entry: string): Promise<Map<string, string>> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const chains = new Map([[entry, entry]]);
  for (const [file, chain] of chains) {
    if (!file.endsWith(".ts")) continue;
    for (const { path } of transpiler.scanImports(await Bun.file(join(root, file)).text())) {
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

test("no file is a drawer or a barrel", async () => {
  for (const file of files) {
    expect(file).not.toMatch(/(utils|helpers|common|index)\.ts$/);
    expect(await Bun.file(join(root, file)).text()).not.toMatch(/^export \* from/m);
  }
});

test("no file is longer than 250 lines, and the median is under 110", async () => {
  const lengths = await measureCode();
  expect(lengths.filter(({ lines }) => lines > maxFileLines)).toEqual([]);
  expect(medianLines(lengths)).toBeLessThan(maxMedianLines);
});

test("no function is longer than 80 lines", () => expect(findLongFunctions()).toEqual([]));

test("the pipeline fits on one screen", async () => {
  const lines = (await Bun.file(join(root, "streams/pipeline.ts")).text()).split("\n");
  expect(lines.length).toBeLessThanOrEqual(75);
});
