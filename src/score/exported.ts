/** @file Scores token sequences with a model that is given as an ONNX file. */
import { type ExportedDecoder, openExported } from "../onnx/exported.ts";
import { type Program, free } from "../onnx/program.ts";
import { compile } from "../onnx/session.ts";
import { logitsScoringGraph } from "./graph.ts";
import type { ScorerOptions } from "./scorer.ts";
import { type Group, type Scores, toScores } from "./scores.ts";

/**
 * As Scorer, but one sequence at a time: such a file knows no documents that share a row, and one in 8 bits takes
 * one scale for all of a batch, so that each sequence would depend on the others. On a CPU that costs no time.
 */
export class ExportedScorer {
  readonly #path: string;
  readonly #decoder: ExportedDecoder;
  readonly #context: number;
  readonly #program: Program;

  private constructor(path: string, decoder: ExportedDecoder, context: number, program: Program) {
    this.#path = path;
    this.#decoder = decoder;
    this.#context = context;
    this.#program = program;
  }

  /**
   * @param path a file in the layout of transformers.js.
   * @param context most tokens of a text, as its config.json has it.
   */
  static async create(path: string, context: number, options: ScorerOptions): Promise<ExportedScorer> {
    const { k, tokenizerSize, device, threads } = options;
    const decoder = await openExported(path, device, threads);
    const { vocabulary, data } = await decoder.run(1, new Int32Array(1), new Int32Array([1]));
    free([data]);
    if (tokenizerSize > vocabulary)
      throw new Error(`${path}: it has logits of ${vocabulary} tokens, its tokenizer has ${tokenizerSize}`);
    const program = await compile(logitsScoringGraph(vocabulary, k, tokenizerSize), "cpu", threads);
    return new ExportedScorer(path, decoder, context, program);
  }

  /**
   * Scores sequences; results are in their order.
   * @throws naming the limit, if one is longer than the context.
   */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    const scores: Scores[] = [];
    for (const sequence of sequences) scores.push(await this.#scoreOne(sequence));
    return scores;
  }

  /** Scores what is asked for of each group. */
  async scoreGroups(groups: readonly Group[]): Promise<Scores[][]> {
    const scores: Scores[][] = [];
    for (const { sequences, from, to } of groups) scores.push(await this.score(sequences.slice(from, to)));
    return scores;
  }

  async #scoreOne(ids: Int32Array): Promise<Scores> {
    const tokens = ids.length;
    if (tokens === 0) return toScores({ nextProbs: new Float32Array(0) }, 0, 0);
    if (tokens > this.#context)
      throw new Error(
        `${this.#path}: a text of ${tokens} tokens is longer than the ${this.#context} that its config.json allows (max_position_embeddings)`,
      );
    const { data: logits } = await this.#decoder
      .run(1, ids, new Int32Array(tokens).fill(1))
      .catch((cause: Error) => {
        throw new Error(`${this.#path}: a text of ${tokens} tokens: ${cause.message}`, { cause });
      });
    const next = new Int32Array(tokens);
    next.set(ids.subarray(1));
    const said = await this.#program.run({ logits, next }, { tokens });
    free([logits]);
    const scores = toScores(said, 0, tokens);
    free(Object.values(said));
    return scores;
  }

  async close(): Promise<void> {
    await this.#program.close();
    await this.#decoder.close();
  }
}
