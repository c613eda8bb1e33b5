/** @file What a teacher is, whatever runs it: a model that scores texts in its own tokens. */
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { type Group, type Scores, findNonFiniteScore } from "../score/scores.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** How a teacher is given. */
export interface TeacherSpec {
  /** Unique; records and reports refer to the teacher by it. */
  readonly name: string;
  readonly folder: string;
  /** undefined: exact */
  readonly dtype: OnnxDtype | undefined;
  readonly device: Device;
}

/** What is known of a teacher before it is loaded. */
export interface TeacherDescription {
  readonly tokenizer: Tokenizer;
  /** Ids that the model has a logit for; a padded vocabulary has more than the tokenizer has tokens. */
  readonly vocabulary: number;
  /** Max tokens of a sequence. */
  readonly maxPositions: number;
}

export type DescribedTeacher = TeacherSpec & TeacherDescription;

export interface OpenOptions {
  /** Max tokens of a sequence to score; a batch has `rows` rows of this length. */
  readonly rowLength: number;
  readonly rows: number;
  /** Candidates per position; 0 for the nll alone. */
  readonly topK: number;
  /** On the CPU. */
  readonly threads: number;
  readonly workers: WorkerPool;
  /** @param fraction of the model that is loaded */
  readonly onLoading?: (fraction: number) => void;
}

export interface Teacher extends TeacherDescription {
  readonly name: string;
  readonly folder: string;
  readonly device: ResolvedDevice;
  /**
   * Scores per group, of the sequences that are wanted.
   * @returns with them the seconds that the teacher itself spent.
   */
  readonly score: (
    groups: readonly Group[],
  ) => Promise<{ readonly scores: Scores[][]; readonly seconds: number }>;
  /** Why scores may not be finite, in a clause. */
  readonly explain: () => Promise<string>;
  readonly close: () => Promise<void>;
}

/** A way to run a teacher: one file in this folder, and one row in open.ts. */
export interface TeacherKind {
  /** Whether a teacher that is given like this is of this kind. */
  readonly accepts: (spec: TeacherSpec) => boolean;
  /** Reads no weights and starts no worker. @throws naming what is missing. */
  readonly describe: (spec: TeacherSpec) => TeacherDescription;
  readonly open: (teacher: DescribedTeacher, options: OpenOptions) => Promise<Teacher>;
}

/**
 * @param locate describes the text of a sequence.
 * @throws naming the teacher, the token and a reason, if a score is not finite.
 */
export async function checkFinite(
  { name, explain }: Pick<Teacher, "name" | "explain">,
  scores: readonly Scores[],
  locate: (sequence: number) => string,
): Promise<void> {
  const wrong = findNonFiniteScore(scores);
  if (wrong)
    throw new Error(
      `${name}: its score of token ${wrong.token} of ${locate(wrong.sequence)} is ${wrong.value}: ${await explain()}`,
    );
}
