/** @file Scores token sequences with a model that is given as an ONNX file. */
import { type ExportedDecoder, openExported } from "../onnx/exported.ts";
import { type Program, compile, free } from "../onnx/session.ts";
import { logitsGraph } from "./graph.ts";
import type { ScorerOptions, Scores } from "./score.ts";

/** Logits that may be alive at a time (512 MiB): they all come out at once. */
const mostLogits = 2 ** 27;

/** As Scorer, but sequence by row: such a file knows no documents that share a row. */
export class ExportedScorer {
  readonly #path: string;
  readonly #decoder: ExportedDecoder;
  readonly #options: ScorerOptions;
  readonly #context: number;
  readonly #vocabulary: number;
  readonly #program: Program;

  private constructor(
    path: string,
    decoder: ExportedDecoder,
    options: ScorerOptions,
    context: number,
    vocabulary: number,
    program: Program,
  ) {
    this.#path = path;
    this.#decoder = decoder;
    this.#options = options;
    this.#context = context;
    this.#vocabulary = vocabulary;
    this.#program = program;
  }

  /**
   * @param path a file in the layout of transformers.js.
   * @param context most tokens of a text, as its config.json has it.
   */
  static async create(path: string, context: number, options: ScorerOptions): Promise<ExportedScorer> {
    const { k, known, device, threads } = options;
    const decoder = await openExported(path, device, threads);
    const { vocabulary, data } = await decoder.run(1, new Int32Array(1), new Int32Array([1]));
    free([data]);
    if (known > vocabulary)
      throw new Error(`${path}: it has logits of ${vocabulary} tokens, its tokenizer has ${known}`);
    const program = await compile(logitsGraph(vocabulary, k, known), "cpu", threads);
    return new ExportedScorer(path, decoder, options, context, vocabulary, program);
  }

  /**
   * Scores sequences; results are in their order.
   * @throws naming the limit, if one is longer than the context.
   */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    const longest = sequences.reduce((most, { length }) => Math.max(most, length), 0);
    if (longest > this.#context)
      throw new Error(
        `${this.#path}: a text of ${longest} tokens is longer than the ${this.#context} that its config.json allows (max_position_embeddings)`,
      );
    const { rows } = this.#options;
    const scores: Scores[] = Array(sequences.length);
    // Of similar length, so that little is filled up.
    const order = sequences.map((_, i) => i).sort((a, b) => sequences[b].length - sequences[a].length);
    for (let first = 0; first < order.length;) {
      const length = sequences[order[first]].length;
      const most = Math.max(1, Math.min(rows, Math.floor(mostLogits / (length * this.#vocabulary))));
      const batch = order.slice(first, first + most);
      await this.#batch(batch, sequences, length, scores);
      first += batch.length;
    }
    return scores;
  }

  async #batch(
    batch: readonly number[],
    sequences: readonly Int32Array[],
    length: number,
    scores: Scores[],
  ): Promise<void> {
    const ids = new Int32Array(batch.length * length);
    const mask = new Int32Array(ids.length);
    batch.forEach((i, row) => {
      ids.set(sequences[i], row * length);
      mask.fill(1, row * length, row * length + sequences[i].length);
    });
    const { data, vocabulary } = await this.#decoder.run(batch.length, ids, mask).catch((cause: Error) => {
      throw new Error(`${this.#path}: ${batch.length} texts of ${length} tokens: ${cause.message}`, {
        cause,
      });
    });
    for (const [row, i] of batch.entries()) {
      const tokens = sequences[i].length;
      const next = new Int32Array(tokens);
      next.set(sequences[i].subarray(1));
      const start = row * length * vocabulary;
      const logits = data.subarray(start, start + tokens * vocabulary);
      const said = await this.#program.run({ logits, next }, { tokens });
      const nll = (said.nll as Float32Array).slice();
      nll[tokens - 1] = 0;
      if (nll.some((value) => !Number.isFinite(value)))
        throw new Error(`${this.#path}: its logits are not finite`);
      scores[i] = {
        nll,
        topIds: (said.topIds as Int32Array | undefined)?.slice() ?? new Int32Array(0),
        topLogProbs: (said.topLogProbs as Float32Array | undefined)?.slice() ?? new Float32Array(0),
      };
      free(Object.values(said));
    }
    free([data]);
  }

  async close(): Promise<void> {
    await this.#program.close();
    await this.#decoder.close();
  }
}
