/** @file The command `bun run evaluate`. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { dataFiles } from "../../src/data/files.ts";
import { readJsonl } from "../../src/data/lines.ts";
import { type Accuracy, Question, accuracy, logLikelihoods } from "../../src/evaluate/multiple-choice.ts";
import { resolveModelFolder } from "../../src/hub/snapshot.ts";
import { type Device, devices } from "../../src/onnx/devices.ts";
import { onnxDtypes } from "../../src/weights/onnx-files.ts";
import { spawn } from "../../src/onnx/worker.ts";
import { describeModel } from "../../src/score/describe.ts";
import type { ScorerHandlers } from "../../src/score/worker.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { command, oneOf, parseOptions } from "../../src/cli/command.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { evaluateSamples, readSamples } from "../run/evaluate.ts";

const help = `Measures a model on text that it was not trained on: bits per byte of each domain, fewer are better,
and how many multiple-choice questions it answers.

  bun run evaluate --model MODEL [FILES] [options]   without FILES: the demo's validation split

  MODEL is a folder or an id of the hub; FILES are parquet, JSONL or text.

  --against MODEL      another model, on the same text
  --text COLUMN        that holds the text (text)
  --domain COLUMN      that tells domains apart
  --bytes N            of text per domain that are enough (200000)
  --choices FILE       JSONL of {"question": "…", "choices": ["…", "…"], "answer": 0 or the choice}
  --device DEVICE      ${devices.join(", ")} (auto)
  --dtype DTYPE        ${onnxDtypes.join(", ")}; none: exact
  --json               one JSON object on stdout
  --help

  bun run evaluate --model runs/demo/model --against demo/models/pocket-llama`;

const options = {
  model: { type: "string" },
  against: { type: "string" },
  text: { type: "string", default: "text" },
  domain: { type: "string" },
  bytes: { type: "string", default: "200000" },
  choices: { type: "string" },
  device: { type: "string", default: "auto" },
  dtype: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Sequences that are scored between two looks at the progress. */
const group = 32;
const longestBlock = 512;

interface Result {
  readonly model: string;
  readonly bitsPerByte: Readonly<Record<string, number>>;
  readonly choices?: Accuracy;
}

async function readQuestions(path: string): Promise<Question[]> {
  if (!existsSync(path)) throw new UserError(`${path}: not found`);
  const questions: Question[] = [];
  for await (const row of readJsonl(path, 0)) {
    if (row.error !== undefined) throw new UserError(`${path}: row ${row.row}: ${row.error}`);
    const result = Question.safeParse(row.values);
    if (!result.success) {
      const [{ path: field, message }] = result.error.issues;
      throw new UserError(`${path}: row ${row.row}: ${field.join(".")}: ${message}`);
    }
    questions.push(result.data);
  }
  if (questions.length === 0) throw new UserError(`${path}: there is no question`);
  return questions;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (!values.model) throw new UserError("expected --model MODEL (--help shows how)");
  const bytesPerDomain = Number(values.bytes);
  if (!Number.isSafeInteger(bytesPerDomain) || bytesPerDomain < 1)
    throw new UserError(`--bytes: expected a whole number, got ${values.bytes}`);
  const device: Device = oneOf("--device", devices, values.device);
  const dtype = values.dtype === undefined ? undefined : oneOf("--dtype", onnxDtypes, values.dtype);
  const ownFiles = positionals.length > 0;
  const files = dataFiles(
    ownFiles
      ? positionals.map((path) => resolve(path))
      : [resolve(import.meta.dir, "../../demo/data/validation.parquet")],
  );
  const domain = values.domain ?? (ownFiles ? undefined : "domain");
  const questions = values.choices === undefined ? undefined : await readQuestions(values.choices);

  const measure = async (model: string): Promise<Result> => {
    const folder = await resolveModelFolder(model, { dtype });
    const tokenizer = readTokenizer(folder);
    const tokenizerSize = tokenizer.vocabulary.tokens.length;
    const rowLength = Math.min(longestBlock, describeModel(folder, dtype).maxPositions);
    const worker = spawn<ScorerHandlers>(new URL("../../src/score/worker.ts", import.meta.url));
    try {
      const load = {
        folder,
        dtype,
        device,
        rowLength,
        rows: 4,
        k: 0,
        tokenizerSize,
        threads: availableParallelism(),
      };
      const { model: number } = await worker.call("load", load);
      const start = performance.now();
      let tokens = 0;
      const nll = async (sequences: readonly Int32Array[]) => {
        const all: Float32Array[] = [];
        for (let first = 0; first < sequences.length; first += group) {
          const part = sequences.slice(first, first + group);
          const { scores } = await worker.call("score", { model: number, sequences: part });
          for (const one of scores) all.push(one.nll);
          tokens += part.reduce((sum, { length }) => sum + length, 0);
          const done = (first + part.length) / sequences.length;
          const rate = tokens / ((performance.now() - start) / 1000);
          if (process.stderr.isTTY)
            process.stderr.write(
              `\r\x1b[K${model}: ${Math.round(done * 100)} %, ${Math.round(rate)} tokens/s`,
            );
        }
        if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
        return all;
      };
      const evaluate = { files, text: values.text, domain, every: 1, bytesPerDomain };
      const samples = await readSamples(evaluate, tokenizer, rowLength - Math.floor(rowLength / 10));
      const bitsPerByte = await evaluateSamples(samples, nll);
      if (Object.keys(bitsPerByte).length === 0)
        throw new UserError(`${files.join(", ")}: there is no text to measure ${model} on`);
      const odd = Object.entries(bitsPerByte).find(([, bits]) => !Number.isFinite(bits));
      if (odd)
        throw new UserError(
          `${model}: ${odd[1]} bits per byte on ${odd[0]}: its weights are not all numbers`,
        );
      return {
        model,
        bitsPerByte,
        ...(questions && {
          choices: accuracy(questions, await logLikelihoods(questions, tokenizer, rowLength, nll)),
        }),
      };
    } finally {
      await worker.call("close", undefined).catch(() => {});
      await worker.close();
    }
  };

  let results: Result[];
  try {
    results = [await measure(values.model), ...(values.against ? [await measure(values.against)] : [])];
  } catch (error) {
    throw error instanceof UserError ? error : new UserError((error as Error).message, { cause: error });
  }
  if (values.json) {
    console.log(JSON.stringify(results));
    return 0;
  }
  const [first, other] = results;
  const row = (name: string, of: (result: Result) => number, sign: 1 | -1) => {
    const [a, b] = [of(first), other && of(other)];
    const change =
      b === undefined
        ? ""
        : `  against ${b.toFixed(4)}  ${(a - b) * sign > 0 ? "better" : a === b ? "equal" : "worse"} by ${Math.abs(a - b).toFixed(4)}`;
    console.log(`${name.padEnd(24)} ${a.toFixed(4)}${change}`);
  };
  for (const name of Object.keys(first.bitsPerByte))
    row(`${name}, bits per byte`, (result) => result.bitsPerByte[name], -1);
  if (first.choices) {
    row("choices, acc", ({ choices }) => choices!.acc, 1);
    row("choices, acc_norm", ({ choices }) => choices!.accNorm, 1);
  }
  return 0;
}

await command("evaluate", main);
