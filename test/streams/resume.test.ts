/** A run's result is bit-identical wherever it was interrupted. */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { liveWorkers } from "../../src/onnx/worker.ts";
import type { Batch } from "../../src/train/trainer.ts";
import type { Config } from "../../streams/config/config.ts";
import { Stages } from "../../src/flow/stages.ts";
import { createAligners, maxTargetEntries } from "../../streams/models/aligners.ts";
import { Models } from "../../streams/models/models.ts";
import { distill, teacherScores } from "../../streams/pipeline.ts";
import type { ResumePoint } from "../../streams/records.ts";
import { run } from "../../streams/run/run.ts";
import type { Step } from "../../streams/stages/train.ts";
import { demoModel } from "../close.ts";
import { useFolder } from "../folder.ts";
import { smallConfig } from "./small-run.ts";
import { writeOnnxOnly } from "../onnx-only.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const config = (...settings: string[]) =>
  smallConfig(join(folder, "out"), "train.steps=12", "data.shuffle=40", ...settings);

const hash = (batches: readonly Batch[]) => {
  const sha = createHash("sha256");
  for (const batch of batches)
    for (const field of ["ids", "positions", "documents", "targets", "probabilities", "weights"] as const)
      sha.update(batch[field]);
  return sha.digest("hex");
};

/** The teachers of a configuration, and the steps of its stream: batch hashes and resume points. */
async function openTeachers(given: Config) {
  const models = new Models(given);
  const teachers = await models.openTeachers();
  const { target, tokenizers, vocabulary } = models;
  const aligners = await createAligners(models.teachers, target.tokenizer, given);
  const entries = maxTargetEntries(given.fusion, teachers.length);
  const steps = async (settings: Config = given, resume?: ResumePoint) => {
    const stages = new Stages(new AbortController().signal, settings.prefetchBytes);
    const seen: string[] = [];
    const ends: Step[] = [];
    const step = async (batches: readonly Batch[]) => {
      seen.push(hash(batches));
      return { loss: 1, nll: 1, nllPart: 1, gradientNorm: 1, seconds: 0 };
    };
    const scored = teacherScores(settings, { tokenizers, teachers }, { stages, resume });
    const student = { vocabulary, aligners, trainer: { entries, step } };
    for await (const end of distill(scored, settings, student, { stages, resume })) ends.push(end);
    return { seen, ends };
  };
  return { steps, [Symbol.asyncDispose]: () => models.close() };
}

for (const [every, ...settings] of [
  [1, "data.seed=1", "forward.rows=2"],
  [3, "data.seed=2", "data.shuffle=0", "fusion.scope=row", "fusion.lmSchedule=hard_and_decay"],
  [4, "data.seed=3", "pack.boundaries=false", "pack.rowLength=40", "forward.rows=16", "forward.workers=1"],
] as const)
  test(`a stream resumes with the same bits after a step: ${settings.join(" ")}`, async () => {
    const given = config(...settings);
    await using teachers = await openTeachers(given);
    const whole = await teachers.steps();
    expect(whole.seen.length).toBe(12);
    for (const [i, end] of whole.ends.slice(0, -1).entries()) {
      if (i % every) continue;
      const settings = { ...given, prefetchBytes: i % 2 ? 0 : 10 ** i };
      expect((await teachers.steps(settings, end.next)).seen).toEqual(whole.seen.slice(i + 1));
    }
    // The stream resumed within groups of blocks.
    expect(new Set(whole.ends.map(({ next }) => next.tokensBefore)).size).toBeGreaterThan(6);
  });

test("a shorter run is the beginning of a longer one, and can be extended to it", async () => {
  const given = config();
  await using teachers = await openTeachers(given);
  const whole = await teachers.steps();
  for (const steps of [3, 9]) {
    const short = await teachers.steps({ ...given, train: { ...given.train, steps } });
    expect(short.seen).toEqual(whole.seen.slice(0, steps));
    expect((await teachers.steps(given, short.ends.at(-1)!.next)).seen).toEqual(whole.seen.slice(steps));
  }
});

test("the batch size changes no bit, for weights, 8-bit weights and ONNX files", async () => {
  const onnx = join(folder, "onnx-only");
  await writeOnnxOnly(onnx, "pocket-openllama", ["fp32", "q8"]);
  const sources = `sources=[{path: ${demoModel("pocket-mpt")}, dtype: q8}, {path: ${onnx}, name: exact}, {path: ${onnx}, name: q8, dtype: q8}]`;
  const all = [];
  for (const rows of [1, 12]) {
    await using teachers = await openTeachers(config(sources, "fusion.method=avgCE", `forward.rows=${rows}`));
    all.push((await teachers.steps()).seen);
  }
  expect(all[1]).toEqual(all[0]);
});

test("a run that is interrupted again and again ends with the same weights and figures", async () => {
  const settings = ["train.steps=6", "train.accumulation=2"];
  const weights = () => readFileSync(join(folder, "out", "model", "model.safetensors"));
  const { fusion, fusionByDomain } = await run(config(...settings));
  const whole = weights();
  const stops = [1, 4];
  for (const [i, at] of stops.entries()) {
    const controller = new AbortController();
    const step = (done: { step: number }) => {
      if (done.step === at) controller.abort();
    };
    const other = config(...settings, `prefetchBytes=${i % 2 ? 0 : 4_000_000}`, `forward.rows=${1 + i}`);
    await run(other, {
      ...(i ? { resume: true } : { restart: true }),
      signal: controller.signal,
      listener: { step },
    });
  }
  expect(await run(config(...settings), { resume: true })).toMatchObject({
    steps: 6,
    finished: true,
    fusion,
    fusionByDomain,
  });
  expect(weights().equals(whole)).toBe(true);
});
