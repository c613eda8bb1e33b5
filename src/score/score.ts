/** @file Scores token sequences with one model: batches of packed rows through the scoring graph. */
import type { Decoder } from "../models/decoder.ts";
import type { Tensor } from "../graph/stored.ts";
import {
  type Data,
  type FrozenWeights,
  type Program,
  type ResolvedDevice,
  compile,
  free,
} from "../onnx/session.ts";
import { scoringGraph } from "./graph.ts";
import { layRows } from "./rows.ts";

// T tokens of a sequence, K kept candidates.

/** What a model says about one sequence. Row t is about token t + 1. */
export interface Scores {
  /** i32[T·K] and f32[T·K], descending; exact log-probabilities over the whole vocabulary */
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
  /** f32[T], −log p(token t + 1); 0 at the last position, which has none */
  readonly nll: Float32Array;
}

export interface ScorerOptions {
  /** Most tokens of a sequence. */
  readonly rowLength: number;
  /** Rows of a batch. */
  readonly rows: number;
  /** Candidates kept per position; 0 for the nll alone. */
  readonly k: number;
  /** Ids below this may be candidates. */
  readonly known: number;
  readonly device: ResolvedDevice;
  readonly threads: number;
}

export class Scorer {
  readonly #program: Program;
  readonly #options: ScorerOptions;
  /** Weights that are fed, by name; changed in place they are read anew by every run. */
  readonly #weights: Readonly<Record<string, Data>>;

  private constructor(program: Program, options: ScorerOptions, weights: Readonly<Record<string, Data>>) {
    this.#program = program;
    this.#options = options;
    this.#weights = weights;
  }

  /** @param weights in memory, where they may change between runs, or those of a frozen model, in its files. */
  static async create(
    decoder: Decoder,
    weights: ReadonlyMap<string, Tensor> | FrozenWeights,
    options: ScorerOptions,
  ): Promise<Scorer> {
    const { rows, rowLength, k, known, device, threads } = options;
    const graph = scoringGraph(decoder, rows, rowLength, k, known);
    if ("stored" in weights) return new Scorer(await compile(graph, device, threads, weights), options, {});
    const fed = Object.fromEntries(Array.from(weights, ([name, { data }]) => [name, data]));
    return new Scorer(await compile(graph, device, threads), options, fed);
  }

  /** Scores sequences of at most `rowLength` tokens; results are in the order of the sequences. */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    const { rows, rowLength, k } = this.#options;
    const layout = layRows(
      sequences.map(({ length }) => length),
      rowLength,
    );
    const scores: Scores[] = Array(sequences.length);
    for (let first = 0; first < layout.rows; first += rows) {
      const here = layout.places.flatMap((place, i) =>
        place.row >= first && place.row < first + rows
          ? [{ i, start: (place.row - first) * rowLength + place.start }]
          : [],
      );
      const result = await this.#program.run({ ...this.#weights, ...this.#feeds(sequences, here) });
      for (const { i, start } of here) {
        const end = start + sequences[i].length;
        const nll = (result.nll as Float32Array).slice(start, end);
        nll[nll.length - 1] = 0;
        scores[i] = {
          nll,
          topIds: k ? (result.topIds as Int32Array).slice(start * k, end * k) : new Int32Array(0),
          topLogProbs: k
            ? (result.topLogProbs as Float32Array).slice(start * k, end * k)
            : new Float32Array(0),
        };
      }
      free(Object.values(result));
    }
    return scores;
  }

  #feeds(
    sequences: readonly Int32Array[],
    here: readonly { i: number; start: number }[],
  ): Record<string, Data> {
    const size = this.#options.rows * this.#options.rowLength;
    const [ids, next, positions] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
    const documents = new Int32Array(size).fill(-1);
    here.forEach(({ i, start }, document) => {
      const sequence = sequences[i];
      ids.set(sequence, start);
      next.set(sequence.subarray(1), start);
      documents.fill(document, start, start + sequence.length);
      for (let t = 0; t < sequence.length; t++) positions[start + t] = t;
    });
    return { ids, next, positions, documents };
  }

  close(): Promise<void> {
    return this.#program.close();
  }
}
