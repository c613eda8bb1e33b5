/** The progress line and the final report: the important parts fit, and nothing is invented. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Progress } from "../../streams/run/run-log.ts";
import { progressLine, report } from "../../streams/run/progress.ts";
import type { Summary } from "../../streams/run/summary.ts";

const teacher = (won: number) => ({ won, aligned: 0.9, spelled: 0.1, dropped: 0, tail: 0.2, nllPerByte: 1 });
const stage = (seconds: number) => ({ seconds, items: 1, peakBytesInFlight: 0 });

const progress = {
  step: 12,
  steps: 120,
  lmLoss: 4.3257,
  fusionLoss: 3.1234,
  tokensPerSecond: 2099.6,
  eta: 80,
  stages: { read: stage(0.1), forward: stage(5), align: stage(0.5), fuse: stage(0.4), train: stage(4) },
  fusion: {
    withoutTeacher: 0,
    teachers: {
      "pocket-llama": teacher(0.25),
      "pocket-openllama": teacher(0.31),
      "pocket-mpt": teacher(0.44),
    },
  },
} as unknown as Progress;

test("a narrow line drops stages first, then long words, the fusion loss, the other teachers", () => {
  expect([200, 150, 110, 80, 60, 40, 20].map((columns) => progressLine(progress, columns))).toEqual([
    "step 12/120 · loss: text 4.326, fusion 3.123 · 2100 tokens/s · 1 min 20 s left · won: pocket-llama 25 %, pocket-openllama 31 %, pocket-mpt 44 % · forward 50 % train 40 % align 5 % fuse 4 % read 1 %",
    "step 12/120 · loss: text 4.326, fusion 3.123 · 2100 tokens/s · 1 min 20 s left · won: pocket-llama 25 %, pocket-openllama 31 %, pocket-mpt 44 %",
    "12/120 · loss 4.326 · 2100 tok/s · 1:20 left · pocket-llama 25 %, pocket-openllama 31 %, pocket-mpt 44 %",
    "12/120 · loss 4.326 · 2100 tok/s · 1:20 left · pocket-mpt 44 % won",
    "12/120 · loss 4.326 · 2100 tok/s · 1:20 left · pocket-… 44 %",
    "12/120 · loss 4.326 · 2100 tok/s · 1:20…",
    "12/120 · loss 4.326…",
  ]);
});

test("a long run's line has step, loss, tokens per second, time left and the best teacher in 80 columns", () => {
  const long = { ...progress, step: 123_456, steps: 200_000, eta: 90_061, tokensPerSecond: 123_456 };
  expect(progressLine(long, 79)).toBe(
    "123456/200000 · loss 4.326 · 123456 tok/s · 25:01:01 left · pocket-mpt 44 % won",
  );
  expect(progressLine({ ...long, fusion: { withoutTeacher: 0, teachers: {} } }, 60)).toBe(
    "123456/200000 · loss 4.326 · 123456 tok/s · 25:01:01 left",
  );
});

test("no line is wider than the terminal, whatever the names", () => {
  const names = fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 250 }), fc.nat({ max: 1e7 }), (all, columns, step) => {
      const teachers = Object.fromEntries(all.map((name, i) => [name, teacher(1 / (i + 1))]));
      const line = progressLine({ ...progress, step, fusion: { withoutTeacher: 0, teachers } }, columns);
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
      if (columns >= 80) expect(line).toContain(`${step}/120`);
    }),
  );
});

const summary = {
  steps: 12,
  tokens: 24_576,
  seconds: 61,
  tokensPerSecond: 402.9,
  bitsPerByte: { start: { sea: 2.0922 }, end: { sea: 2.0916 } },
  fusion: progress.fusion,
  skippedRows: 0,
  skippedReasons: [],
  notes: [],
  finished: true,
} as unknown as Summary;

test("a report compares measurements, and marks missing ones", () => {
  expect(report(summary, "out").split("\n").slice(0, 3)).toEqual([
    "12 steps, 24576 tokens in 1 min 1 s, 403 tokens/s",
    "bits per byte:",
    "  sea              2.0922 → 2.0916  (-0.03 %)",
  ]);
  const stopped = report(
    { ...summary, bitsPerByte: { start: { sea: 2.0922 }, end: {} }, finished: false },
    "out",
  );
  expect(stopped).toContain("  sea              2.0922 before training\n");
  expect(stopped).not.toContain("→");
  expect(stopped).toEndWith("stopped; continue with --resume");
  expect(report({ ...summary, bitsPerByte: { start: {}, end: {} } }, "out")).not.toContain("bits per byte");
});

test("a run without steps reports none", () => {
  const none = { ...summary, steps: 0, tokens: 0, tokensPerSecond: 0, bitsPerByte: { start: {}, end: {} } };
  expect(report({ ...none, finished: false }, "out")).toBe("stopped before the first step");
});

test("a report has the first reasons for skipped rows, and the notes", () => {
  const lines = report(
    { ...summary, skippedRows: 7, skippedReasons: ["a.jsonl: row 3: not UTF-8"], notes: ["the data ended"] },
    "out",
  ).split("\n");
  expect(lines.slice(-4)).toEqual([
    "7 rows or files could not be read and were skipped, such as",
    "  a.jsonl: row 3: not UTF-8",
    "the data ended",
    "the model is in out/model",
  ]);
});
