import { afterEach, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { wholeGroup } from "../../src/score/scores.ts";
import { describeTeacher, openTeacher } from "../../src/teachers/open.ts";
import { type OpenOptions, type TeacherSpec, checkFinite } from "../../src/teachers/teacher.ts";
import { WorkerPool } from "../../src/teachers/worker-pool.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { createFolder, useFolder } from "../folder.ts";
import { writeOnnxOnly } from "../onnx-only.ts";
import type { OnnxDtype } from "../../src/weights/onnx-files.ts";

const root = useFolder();
const onnx = join(root, "onnx-only");
beforeAll(() => writeOnnxOnly(onnx, "pocket-openllama", ["fp32"]));
afterEach(() => expect(liveWorkers.size).toBe(0));

const spec = (name: string, folder: string, changes: Partial<TeacherSpec> = {}): TeacherSpec => ({
  name,
  folder,
  dtype: undefined,
  device: "cpu",
  ...changes,
});
const options = (size: number, changes: Partial<OpenOptions> = {}): OpenOptions => ({
  rowLength: 32,
  rows: 2,
  topK: 4,
  threads: 1,
  workers: new WorkerPool(size, (work) => work()),
  ...changes,
});

test("a teacher is described without a worker", () => {
  const { name, vocabulary, maxPositions, tokenizer } = describeTeacher(spec("mpt", demoModel("pocket-mpt")));
  expect(name).toBe("mpt");
  expect(vocabulary).toBeGreaterThanOrEqual(tokenizer.vocabulary.tokens.length);
  expect(maxPositions).toBeGreaterThanOrEqual(512);
});

test("weights and an ONNX file of the same model are teachers of two kinds, and agree", async () => {
  const open = options(1);
  const teachers = await Promise.all(
    [spec("graph", demoModel("pocket-openllama")), spec("onnx", onnx)].map((one) =>
      openTeacher(describeTeacher(one), open),
    ),
  );
  expect(teachers.map(({ name, device }) => [name, device])).toEqual([
    ["graph", "cpu"],
    ["onnx", "cpu"],
  ]);
  const { ids } = await teachers[0].tokenizer.encode("In the beginning God created the heaven");
  const results = await Promise.all(teachers.map(({ score }) => score([wholeGroup([ids])])));
  const [graph, exported] = results.map(({ scores }) => scores[0][0]);
  expect(graph.topIds.length).toBe(4 * ids.length);
  expect([...exported.topIds]).toEqual([...graph.topIds]);
  graph.nll.forEach((nll, t) => expect(exported.nll[t]).toBeCloseTo(nll, 3));
  for (const { seconds } of results) expect(seconds).toBeGreaterThan(0);
  for (const { close } of teachers) await close();
});

test("teachers are spread over workers, and a worker ends with its last teacher", async () => {
  const open = options(2);
  const teachers = await Promise.all(
    ["a", "b", "c"].map((name) => openTeacher(describeTeacher(spec(name, demoModel("pocket-mpt"))), open)),
  );
  expect(liveWorkers.size).toBe(2);
  await teachers[0].close();
  expect(liveWorkers.size).toBe(2);
  const ids = Int32Array.of(5, 6, 7);
  expect((await teachers[2].score([wholeGroup([ids])])).scores[0][0].nll.length).toBe(3);
  await teachers[2].close();
  expect(liveWorkers.size).toBe(1);
  await open.workers.close();
});

test("a teacher that cannot be loaded leaves no worker", async () => {
  const described = describeTeacher(spec("mpt", demoModel("pocket-mpt")));
  const missing = openTeacher({ ...described, folder: join(root, "missing") }, options(1));
  expect(await catchMessage(missing)).toContain("missing");
});

test("a folder that is no model, and a dtype or architecture it cannot serve, are refused by name", () => {
  using empty = createFolder({});
  using rwkv = createFolder({ "config.json": JSON.stringify({ model_type: "rwkv", vocab_size: 10 }) });
  const describe = (folder: string, dtype?: OnnxDtype) => () => describeTeacher(spec("t", folder, { dtype }));
  expect(describe(empty.path)).toThrow(
    `${empty.path}/config.json: not found; expected a Hugging Face model folder`,
  );
  expect(describe(rwkv.path)).toThrow(`${rwkv.path}/config.json: model_type "rwkv" is not supported`);
  expect(describe(demoModel("pocket-mpt"), "q4")).toThrow(
    `${demoModel("pocket-mpt")}: dtype q4 is unavailable (available: fp32, q8)`,
  );
  expect(describe(onnx, "q4")).toThrow(`${onnx}: dtype q4 is unavailable (available: fp32)`);
});

test("a non-finite score is refused with its text, token and reason", async () => {
  const scores = [0.5, NaN].map((nll) => ({
    nll: Float32Array.of(nll, 0),
    topIds: new Int32Array(0),
    topLogProbs: new Float32Array(0),
  }));
  const teacher = { name: "mpt", explain: async () => "a weight is NaN" };
  await checkFinite(teacher, scores.slice(0, 1), String);
  expect(await catchMessage(checkFinite(teacher, scores, (sequence) => `text ${sequence}`))).toBe(
    "mpt: its score of token 1 of text 1 is NaN: a weight is NaN",
  );
});

test.skipIf(process.platform !== "linux")(
  "teachers do not load ONNX Runtime outside of their workers",
  () => {
    const module = new URL("../../src/teachers/open.ts", import.meta.url).pathname;
    const script = `
    await import(${JSON.stringify(module)});
    console.log(/onnxruntime/.test(await Bun.file("/proc/self/maps").text()));
  `;
    expect(Bun.spawnSync([process.execPath, "-e", script]).stdout.toString()).toBe("false\n");
  },
);
