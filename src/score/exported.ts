/** @file Scores token sequences with a model in an ONNX file. */
import { type ExportedDecoder, openExported } from "../onnx/exported.ts";
import { type Program, free } from "../onnx/program.ts";
import { compile } from "../onnx/session.ts";
import { logitsScoringGraph } from "./graph.ts";
import type { ScorerOptions } from "./scorer.ts";
import { type Group, type Scores, toScores } from "./scores.ts";

/**
 * Scores with a decoder that others exported. As Scorer, but one sequence at a time: such a file has no documents that share a row, and in 8 bits it takes one scale
 * for a whole batch, so each sequence would depend on the others. On a CPU that costs no time.
 */
export class ExportedScorer {
  readonly #path: string;
  readonly #decoder: ExportedDecoder;
  readonly #maxPositions: number;
  readonly #program: Program;

  private constructor(path: string, decoder: ExportedDecoder, maxPositions: number, program: Program) {
    this.#path = path;
    this.#decoder = decoder;
    this.#maxPositions = maxPositions;
    this.#program = program;
  }

  /**
   * @param path a file in the layout of transformers.js.
   * @param maxPositions maximum tokens of a text, from its config.json.
   * @throws naming the file, if it cannot be run, or has logits for fewer tokens than the tokenizer.
   */
  static async create(path: string, maxPositions: number, options: ScorerOptions): Promise<ExportedScorer> {
    const { k, tokenizerSize, device, threads } = options;
    const decoder = await openExported(path, device, threads);
    try {
      const { vocabulary, data } = await decoder.run(new Int32Array(1));
      free([data]);
      if (tokenizerSize > vocabulary)
        throw new Error(`${path}: logits cover ${vocabulary} tokens, but the tokenizer has ${tokenizerSize}`);
      const program = await compile(logitsScoringGraph(vocabulary, k, tokenizerSize), "cpu", threads);
      return new ExportedScorer(path, decoder, maxPositions, program);
    } catch (error) {
      await decoder.close();
      throw error;
    }
  }

  /**
   * Scores sequences; results are in their order.
   * @throws naming the limit, if one is longer than the model allows.
   */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    const scores: Scores[] = [];
    for (const sequence of sequences) scores.push(await this.#scoreOne(sequence));
    return scores;
  }

  /** Scores the sequences asked for of each group. */
  async scoreGroups(groups: readonly Group[]): Promise<Scores[][]> {
    const scores: Scores[][] = [];
    for (const { sequences, from, to } of groups) scores.push(await this.score(sequences.slice(from, to)));
    return scores;
  }

  async #scoreOne(ids: Int32Array): Promise<Scores> {
    const tokens = ids.length;
    if (tokens === 0) return toScores({ nextProbs: new Float32Array(0) }, 0, 0);
    if (tokens > this.#maxPositions)
      throw new Error(
        `${this.#path}: a text of ${tokens} tokens exceeds the limit of ${this.#maxPositions} in its config.json (max_position_embeddings)`,
      );
    const { data: logits } = await this.#decoder.run(ids);
    const next = new Int32Array(tokens);
    next.set(ids.subarray(1));
    const outputs = await this.#program.run({ logits, next }, { tokens });
    free([logits]);
    const scores = toScores(outputs, 0, tokens);
    free(Object.values(outputs));
    return scores;
  }

  async close(): Promise<void> {
    await this.#program.close();
    await this.#decoder.close();
  }
}
