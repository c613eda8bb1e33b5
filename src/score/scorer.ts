/** @file Scores token sequences with one model: batches of packed rows through the scoring graph. */
import type { Decoder } from "../models/decoder.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Data, type FrozenWeights, type Program, free } from "../onnx/program.ts";
import type { ResidentValues } from "../onnx/resident.ts";
import { compile } from "../onnx/session.ts";
import { scoringGraph } from "./graph.ts";
import { packRows } from "./rows.ts";
import { type Group, type Scores, toScores, wholeGroup } from "./scores.ts";

export interface ScorerOptions {
  /** Maximum tokens of a sequence. */
  readonly rowLength: number;
  /** Rows of a batch. They do not change results. */
  readonly rows: number;
  /** Candidates kept per position; 0 for the nll alone. */
  readonly k: number;
  /** Ids below this may be candidates. */
  readonly tokenizerSize: number;
  readonly device: ResolvedDevice;
  readonly threads: number;
  /** Holds the weights that are in no file; its owner writes and closes them. */
  readonly values?: ResidentValues;
}

/** A sequence in a row, and what takes its scores if they are asked for. */
interface PackedSequence {
  readonly sequence: Int32Array;
  /** Its first token: in the row, and once rows are batched, in the batch. */
  readonly start: number;
  readonly keep: ((scores: Scores) => void) | undefined;
}

/** A model compiled for batches of one shape. The caller closes it. */
export class Scorer {
  readonly #program: Program;
  readonly #options: ScorerOptions;

  private constructor(program: Program, options: ScorerOptions) {
    this.#program = program;
    this.#options = options;
  }

  /** @param weights that are frozen, in their files; undefined: none are. */
  static async create(
    decoder: Decoder,
    weights: FrozenWeights | undefined,
    options: ScorerOptions,
  ): Promise<Scorer> {
    // int8 products take one scale for all rows of a batch, so each row would depend on the others.
    const rows = weights?.int8 ? 1 : options.rows;
    const { rowLength, k, tokenizerSize, device, threads, values } = options;
    const graph = scoringGraph(decoder, rows, rowLength, k, tokenizerSize);
    const inputs = [...decoder.parameters.keys()].filter((name) => !weights?.refs.has(name));
    const resident = values && { inputs, values };
    const program = await compile(graph, device, threads, { weights, resident });
    return new Scorer(program, { ...options, rows });
  }

  /** Scores sequences of at most `rowLength` tokens as one group; results are in the order of the sequences. */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    return (await this.scoreGroups([wholeGroup(sequences)]))[0];
  }

  /** Scores the sequences asked for of each group, in its order. Rows without any of them are not computed. */
  async scoreGroups(groups: readonly Group[]): Promise<Scores[][]> {
    const { rows, rowLength } = this.#options;
    const scores = groups.map(({ from, to }): Scores[] => Array(to - from));
    const packed = groups.flatMap((group, g) => this.#pack(group, (i, one) => (scores[g][i] = one)));
    for (let first = 0; first < packed.length; first += rows) {
      const batch = packed
        .slice(first, first + rows)
        .flatMap((row, r) => row.map((one) => ({ ...one, start: r * rowLength + one.start })));
      const outputs = await this.#program.run(this.#feeds(batch));
      for (const { sequence, start, keep } of batch)
        keep?.(toScores(outputs, start, start + sequence.length));
      free(Object.values(outputs));
    }
    return scores;
  }

  /** The rows of a group that hold a sequence asked for. */
  #pack({ sequences, from, to }: Group, keep: (i: number, scores: Scores) => void): PackedSequence[][] {
    const { rows, spans } = packRows(
      sequences.map(({ length }) => length),
      this.#options.rowLength,
    );
    const packed = Array.from({ length: rows }, (): PackedSequence[] => []);
    for (const [i, { row, start }] of spans.entries()) {
      const asked = i >= from && i < to;
      packed[row].push({
        sequence: sequences[i],
        start,
        keep: asked ? (scores) => keep(i - from, scores) : undefined,
      });
    }
    return packed.filter((row) => row.some(({ keep }) => keep));
  }

  #feeds(batch: readonly PackedSequence[]): Record<string, Data> {
    const size = this.#options.rows * this.#options.rowLength;
    const [ids, next, positions] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
    const documents = new Int32Array(size).fill(-1);
    for (const [document, { sequence, start }] of batch.entries()) {
      ids.set(sequence, start);
      next.set(sequence.subarray(1), start);
      documents.fill(document, start, start + sequence.length);
      for (let t = 0; t < sequence.length; t++) positions[start + t] = t;
    }
    return { ids, next, positions, documents };
  }

  close(): Promise<void> {
    return this.#program.close();
  }
}
