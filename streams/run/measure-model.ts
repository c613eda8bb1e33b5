/** @file Measures a model as it is: bits per byte of a text, and multiple-choice questions. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { UserError } from "../../src/cli/user-error.ts";
import { readJsonl } from "../../src/data/lines.ts";
import { type Accuracy, Question, accuracy, logLikelihoods } from "../../src/evaluate/multiple-choice.ts";
import { resolveModelFolder } from "../../src/hub/snapshot.ts";
import type { Device } from "../../src/onnx/devices.ts";
import { wholeGroup } from "../../src/score/scores.ts";
import { describeTeacher, openTeacher } from "../../src/teachers/open.ts";
import { type Teacher, checkFinite } from "../../src/teachers/teacher.ts";
import { WorkerPool } from "../../src/teachers/worker-pool.ts";
import type { OnnxDtype } from "../../src/weights/onnx-files.ts";
import type { Config } from "../config/config.ts";
import { type Nll, evaluateSamples, readSamples } from "./evaluate.ts";
import type { Bits } from "./summary.ts";

/** Max tokens of a block. */
const blockSize = 512;
const batchRows = 4;
/** Sequences that are scored between two reports of progress. */
const sequencesPerCall = 32;

export interface Measurement {
  readonly model: string;
  readonly bitsPerByte: Bits;
  readonly choices?: Accuracy;
}

export interface MeasureOptions {
  readonly dtype: OnnxDtype | undefined;
  readonly device: Device;
  readonly evaluate: NonNullable<Config["evaluate"]>;
  readonly questions?: readonly Question[] | undefined;
  /** @param fraction of the sequences that are scored */
  readonly onProgress?: (fraction: number, tokensPerSecond: number) => void;
}

/** A file with a question per line. @throws UserError naming the row and the field. */
export async function readQuestions(path: string): Promise<Question[]> {
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

/** −log p of sequences under a teacher, a few of them at a time. */
function createNll(teacher: Teacher, onProgress: MeasureOptions["onProgress"]): Nll {
  const start = performance.now();
  let tokens = 0;
  return async (sequences) => {
    const nlls: Float32Array[] = [];
    for (let first = 0; first < sequences.length; first += sequencesPerCall) {
      const part = sequences.slice(first, first + sequencesPerCall);
      const { scores } = await teacher.score([wholeGroup(part)]);
      await checkFinite(teacher, scores[0], () => "a text");
      for (const { nll } of scores[0]) nlls.push(nll);
      tokens += part.reduce((sum, { length }) => sum + length, 0);
      const seconds = (performance.now() - start) / 1000;
      onProgress?.((first + part.length) / sequences.length, tokens / seconds);
    }
    return nlls;
  };
}

/** @throws UserError naming the model if there is no text to measure it on. */
async function measureTeacher(
  teacher: Teacher,
  maxTokens: number,
  { evaluate, questions, onProgress }: MeasureOptions,
): Promise<Measurement> {
  const { name, tokenizer } = teacher;
  const nll = createNll(teacher, onProgress);
  // A piece of text may have more tokens than it had in context.
  const samples = await readSamples(evaluate, tokenizer, maxTokens - Math.floor(maxTokens / 10));
  const bitsPerByte = await evaluateSamples(samples, nll);
  if (Object.keys(bitsPerByte).length === 0)
    throw new UserError(`${evaluate.files.join(", ")}: there is no text to measure ${name} on`);
  if (!questions) return { model: name, bitsPerByte };
  const likelihoods = await logLikelihoods(questions, tokenizer, maxTokens, nll);
  return { model: name, bitsPerByte, choices: accuracy(questions, likelihoods) };
}

/** @param model a folder or an id of the hub. */
export async function measureModel(model: string, options: MeasureOptions): Promise<Measurement> {
  const { dtype, device } = options;
  const folder = await resolveModelFolder(model, { dtype });
  const described = describeTeacher({ name: model, folder, dtype, device });
  const rowLength = Math.min(blockSize, described.maxPositions);
  const workers = new WorkerPool(1, (work) => work());
  const scoring = { rowLength, rows: batchRows, topK: 0, threads: availableParallelism(), workers };
  const teacher = await openTeacher(described, scoring);
  try {
    return await measureTeacher(teacher, rowLength, options);
  } finally {
    await teacher.close();
  }
}
