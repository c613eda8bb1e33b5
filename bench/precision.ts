/**
 * @file What cheaper precisions of a source cost and gain: `bun bench/precision.ts [FOLDER] [tokens]`, of the
 * demo's models by default. Each form scores the same text in turn; top-10 agreement is the share of the
 * exact model's ten best tokens that are among the form's.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { writeFolder } from "../src/export/folder.ts";
import { readDecoder } from "../src/models/folder.ts";
import { type OnnxDtype, onnxFile } from "../src/weights/onnx-files.ts";
import { readWeights } from "../src/weights/read-weights.ts";
import { ExportedScorer } from "../src/score/exported.ts";
import { openScorer } from "../src/score/open.ts";
import type { Scores } from "../src/score/scores.ts";
import { splitText } from "../src/text/split.ts";
import { readTokenizer } from "../src/text/tokenizer.ts";
import { read } from "../streams/stages/read.ts";
import { dataFiles } from "../src/data/files.ts";

const demo = new URL("../demo/", import.meta.url).pathname;
const folders = process.argv[2]
  ? [process.argv[2]]
  : ["pocket-llama", "pocket-openllama", "pocket-mpt"].map((name) => join(demo, "models", name));
const enough = Number(process.argv[3] ?? 16_384);
const k = 10;

async function textOf(folder: string): Promise<Int32Array[]> {
  const tokenizer = readTokenizer(folder);
  const sequences: Int32Array[] = [];
  let tokens = 0;
  const data = {
    files: dataFiles([join(demo, "data/validation.parquet")]),
    text: "text",
    epochs: 1,
    onBadRow: "fail" as const,
  };
  for await (const { text } of read(data))
    for await (const piece of splitText(text, [tokenizer], 500)) {
      const { ids } = await tokenizer.encode(piece);
      if (ids.length < 20) continue;
      sequences.push(ids);
      if ((tokens += ids.length) >= enough) return sequences;
    }
  return sequences;
}

interface Form {
  readonly name: string;
  readonly scorer: { score(sequences: readonly Int32Array[]): Promise<Scores[]> };
}

const mean = (all: readonly Scores[]) => {
  const nll = all.flatMap((scores) => [...scores.nll.subarray(0, -1)]);
  return nll.reduce((sum, value) => sum + value, 0) / nll.length;
};

function agreement(exact: readonly Scores[], other: readonly Scores[]): number {
  let [same, all] = [0, 0];
  exact.forEach(({ topIds }, i) => {
    for (let t = 0; t < topIds.length; t += k) {
      const ids = new Set(other[i].topIds.subarray(t, t + k));
      for (const id of topIds.subarray(t, t + k)) same += +ids.has(id);
      all += k;
    }
  });
  return same / all;
}

for (const folder of folders) {
  const sequences = await textOf(folder);
  const known = readTokenizer(folder).vocabulary.tokens.length;
  const options = {
    rows: 4,
    rowLength: 512,
    k,
    tokenizerSize: known,
    device: "cpu",
    threads: navigator.hardwareConcurrency,
  } as const;
  const exported = mkdtempSync(join(tmpdir(), "precision-"));
  const decoder = readDecoder(folder);
  await writeFolder(join(exported, "x"), folder, await readWeights(folder, decoder), {
    onnx: ["fp32", "fp16", "q8"],
  });
  const onnx = async (dtype: OnnxDtype): Promise<Form> => ({
    name: `ONNX file ${dtype}`,
    scorer: await ExportedScorer.create(join(exported, "x", onnxFile(dtype)), decoder.maxPositions, options),
  });
  const forms: Form[] = [
    { name: "exact", scorer: await openScorer(folder, undefined, options) },
    { name: "dtype: q8", scorer: await openScorer(folder, "q8", options) },
    await onnx("fp32"),
    await onnx("fp16"),
    await onnx("q8"),
  ];
  const seconds = new Map(forms.map(({ name }) => [name, Infinity]));
  const said = new Map<string, Scores[]>();
  for (let round = 0; round < 3; round++)
    for (const { name, scorer } of forms) {
      const start = performance.now();
      said.set(name, await scorer.score(sequences));
      seconds.set(name, Math.min(seconds.get(name)!, (performance.now() - start) / 1000));
    }
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  console.log(`${basename(folder)}: ${tokens} tokens`);
  const exact = said.get("exact")!;
  for (const { name } of forms) {
    const rate = tokens / seconds.get(name)!;
    const speed = (seconds.get("exact")! / seconds.get(name)!).toFixed(2);
    const nll = mean(said.get(name)!);
    console.log(
      `  ${name.padEnd(16)} ${Math.round(rate)} tokens/s (${speed}×), nll ${nll.toFixed(4)} (${(nll - mean(exact)).toFixed(4)}), ` +
        `top-10 agreement ${(100 * agreement(exact, said.get(name)!)).toFixed(2)} %`,
    );
  }
  rmSync(exported, { recursive: true });
}
