/** @file Scores token sequences with one model: batches of packed rows through the scoring graph. */
import type { Decoder } from "../models/decoder.ts";
import type { Tensor } from "../weights/tensor-ref.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Data, type FrozenWeights, type Program, compile, free } from "../onnx/session.ts";
import { scoringGraph } from "./graph.ts";
import { packRows } from "./rows.ts";
import { type Group, type Scores, toScores, wholeGroup } from "./scores.ts";

export interface ScorerOptions {
  /** Most tokens of a sequence. */
  readonly rowLength: number;
  /** Rows of a batch, which changes no result. */
  readonly rows: number;
  /** Candidates kept per position; 0 for the nll alone. */
  readonly k: number;
  /** Ids below this may be candidates. */
  readonly tokenizerSize: number;
  readonly device: ResolvedDevice;
  readonly threads: number;
}

/** A sequence in a row, and where its scores go, if they are asked for. */
interface Placed {
  readonly sequence: Int32Array;
  readonly start: number;
  readonly keep: ((scores: Scores) => void) | undefined;
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
    given: ScorerOptions,
  ): Promise<Scorer> {
    // Products in 8 bits take one scale for all rows of a batch, so that each row would depend on the others.
    const options = "refs" in weights && weights.int8 ? { ...given, rows: 1 } : given;
    const { rows, rowLength, k, tokenizerSize, device, threads } = options;
    const graph = scoringGraph(decoder, rows, rowLength, k, tokenizerSize);
    if ("refs" in weights) return new Scorer(await compile(graph, device, threads, weights), options, {});
    const fed = Object.fromEntries(Array.from(weights, ([name, { data }]) => [name, data]));
    return new Scorer(await compile(graph, device, threads), options, fed);
  }

  /** Scores sequences of at most `rowLength` tokens as one group; results are in the order of the sequences. */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    return (await this.scoreGroups([wholeGroup(sequences)]))[0];
  }

  /** Scores what is asked for of each group, in its order. Rows that hold nothing of that are not computed. */
  async scoreGroups(groups: readonly Group[]): Promise<Scores[][]> {
    const { rows, rowLength } = this.#options;
    const scores = groups.map(({ from, to }): Scores[] => Array(to - from));
    const laid = groups.flatMap((group, g) => this.#lay(group, (i, one) => (scores[g][i] = one)));
    for (let first = 0; first < laid.length; first += rows) {
      const here = laid
        .slice(first, first + rows)
        .flatMap((row, r) => row.map((placed) => ({ ...placed, start: r * rowLength + placed.start })));
      const result = await this.#program.run({ ...this.#weights, ...this.#feeds(here) });
      for (const { sequence, start, keep } of here) keep?.(toScores(result, start, start + sequence.length));
      free(Object.values(result));
    }
    return scores;
  }

  /** The rows of a group in which there is something that is asked for. */
  #lay({ sequences, from, to }: Group, keep: (i: number, scores: Scores) => void): Placed[][] {
    const { rows, places } = packRows(
      sequences.map(({ length }) => length),
      this.#options.rowLength,
    );
    const laid = Array.from({ length: rows }, (): Placed[] => []);
    places.forEach(({ row, start }, i) => {
      const asked = i >= from && i < to;
      laid[row].push({
        sequence: sequences[i],
        start,
        keep: asked ? (scores) => keep(i - from, scores) : undefined,
      });
    });
    return laid.filter((row) => row.some((placed) => placed.keep));
  }

  #feeds(here: readonly Placed[]): Record<string, Data> {
    const size = this.#options.rows * this.#options.rowLength;
    const [ids, next, positions] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
    const documents = new Int32Array(size).fill(-1);
    here.forEach(({ sequence, start }, document) => {
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
