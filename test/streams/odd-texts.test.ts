/** Edge cases of texts and settings: no division by zero, and nothing unmeasured is reported. */
import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { byteAligner } from "../../src/fusion/align-bytes.ts";
import { identityAligner } from "../../src/fusion/align-identity.ts";
import { dtwAligner } from "../../src/fusion/align-tokens.ts";
import { exactMap } from "../../src/fusion/min-edit-map.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { align } from "../../streams/stages/align.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import { fuse } from "../../streams/stages/fuse.ts";
import { pack } from "../../streams/stages/pack.ts";
import type { Scored } from "../../streams/records.ts";
import { TeacherStatistics } from "../../streams/run/statistics.ts";
import { demoModel } from "../close.ts";
import { useFolder } from "../folder.ts";
import { demo, runSteps, smallConfig } from "./small-run.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

async function runOn(texts: readonly string[], ...settings: string[]) {
  const file = join(folder, "odd.jsonl");
  writeFileSync(file, texts.map((text) => JSON.stringify({ text })).join("\n"));
  const config = smallConfig(join(folder, "out"), "train.rows=1", "train.steps=3", ...settings);
  return runSteps({ ...config, data: { ...config.data, files: [file], id: undefined, domain: undefined } });
}

const odd = ["", " ", "a", "\n\n\n", "\u00a0", "\u200b", "🙂", " ".repeat(900), "\0", "\ufeff", "e\u0301"];

for (const settings of [
  [],
  ["recipe=fusellm"],
  [
    "fusion.method=mixture",
    "fusion.scope=row",
    "fusion.lmSchedule=soft",
    "fusion.tail=keep",
    "fusion.lmWeight=0",
  ],
])
  test(`odd texts give finite numbers (${settings.join(" ") || "default"})`, async () => {
    const { summary, steps } = await runOn(odd, ...settings);
    expect(steps.length).toBeGreaterThan(0);
    for (const { loss, lmLoss, gradientNorm, fusionLoss } of steps)
      for (const value of [loss, lmLoss, gradientNorm, fusionLoss]) expect(value).toBeFinite();
    for (const { nllPerByte, won } of Object.values(summary.fusion.teachers)) {
      expect(nllPerByte).toBeGreaterThan(0);
      expect(won).toBeFinite();
    }
  });

test("a teacher without a block has no figures", () => {
  expect(new TeacherStatistics(["pocket-llama (frozen)"]).summary()).toEqual({
    withoutTeacher: null,
    teachers: {
      "pocket-llama (frozen)": {
        won: null,
        aligned: null,
        spelled: null,
        dropped: null,
        tail: null,
        nllPerByte: null,
      },
    },
  });
});

test("a document that fills its last block still ends with the end token", async () => {
  const tokenizer = readTokenizer(demoModel("pocket-llama"));
  let text = "";
  while ((await tokenizer.encode(text)).ids.length < 64) text += "a ";
  expect((await tokenizer.encode(text)).ids.length).toBe(64);
  const { steps } = await runOn([text, text, text], "slack=0", "sources=[]");
  expect(steps.map(({ tokens }) => tokens).reduce((a, b) => a + b)).toBe(3 * 64);
});

test("rows may be shorter than blocks", async () => {
  const { summary } = await runOn(
    Array.from({ length: 4 }, () => "And God said, Let there be light. ".repeat(40)),
    "pack.rowLength=16",
  );
  for (const bits of Object.values(summary.bitsPerByte.end)) expect(bits).toBeGreaterThan(0);
});

describe("a teacher whose tokenizer gives no tokens for a text", () => {
  const [target, source] = ["pocket-llama", "pocket-mpt"].map((name) => readTokenizer(demoModel(name)));
  const options = { temperature: 1, tail: "text", topK: 2 } as const;
  const vocabularies = [source.vocabulary, target.vocabulary] as const;
  const none = { ids: new Int32Array(0), ends: new Int32Array(0) };
  const cursor = { epoch: 0, file: 0, row: 0 };
  const silence = {
    nll: new Float32Array(0),
    topIds: new Int32Array(0),
    topLogProbs: new Float32Array(0),
  };
  for (const [name, teach] of [
    ["bytes", byteAligner(source, target, options)],
    [
      "tokens",
      dtwAligner(...vocabularies, exactMap(...vocabularies), {
        ...options,
        fallback: "none",
        duplicates: "sum",
      }),
    ],
    ["identity", identityAligner(options, target.vocabulary.tokens.length)],
  ] as const)
    test(`has no targets and no statistics (${name})`, async () => {
      const text = name === "identity" ? none : await target.encode(" \n ");
      async function* scored(): AsyncGenerator<Scored> {
        yield {
          block: { text: " \n ", textOffset: 0, last: false, id: "d", domain: "all", cursor },
          origin: { cursor, textOffset: 0, tokensBefore: 0 },
          target: text,
          teachers: [{ name: "t", encoding: none, scores: silence }],
        };
      }
      const aligners = new Map([["t", teach]]);
      const statistics = new TeacherStatistics(["t"]);
      const { fusion, train } = readConfig(demo);
      const fuseOptions = {
        ...fusion,
        scope: fusion.scope.kind,
        entries: 4,
        vocabulary: target.vocabulary.tokens.length,
        rowLength: 8,
        tokensPerStep: 8,
        steps: train.steps,
      };
      const fused = await Array.fromAsync(fuse(align(scored(), aligners, "byte"), fuseOptions));
      async function* again() {
        yield* fused;
      }
      for await (const { statistics: blocks } of pack(again(), {
        rowLength: 8,
        entries: 4,
        boundaries: true,
      }))
        blocks.forEach(statistics.add);
      const [{ targets, unaligned }] = fused;
      expect(unaligned).toBe(Math.max(0, text.ids.length - 1));
      expect([...targets.values]).toEqual(Array(unaligned).fill(1));
      const { withoutTeacher, teachers } = statistics.summary();
      expect(withoutTeacher).toBe(unaligned > 0 ? 1 : null);
      expect(teachers.t).toMatchObject({ dropped: null, tail: null, nllPerByte: null });
    });
});
