/** @file Greedy decoding of a batch with the exported graph, as simple as possible. */
import { type Data, type Program, free } from "../../src/onnx/program.ts";
import { argmax } from "../../src/generate/logits.ts";

// B texts of a batch, S tokens of a run, P tokens in the cache, V vocabulary.

export interface GreedyOptions {
  /** Max tokens generated per prompt. */
  readonly maxTokens: number;
  /** Ids that end a text. */
  readonly ends: readonly number[];
  /** Max tokens of a prompt and its continuation. */
  readonly context: number;
}

/**
 * Greedy decoding of a batch of prompts. Shorter prompts are padded on the left, so that all end together; the
 * padding is masked, and positions count from a prompt's first token.
 *
 * @param program an inference graph (models/inference.ts)
 * @throws if a prompt is empty or leaves no room.
 */
export async function generateGreedily(
  program: Program,
  prompts: readonly Int32Array[],
  { maxTokens, ends, context }: GreedyOptions,
): Promise<Int32Array[]> {
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (prompts.some(({ length }) => length === 0)) throw new Error("generate: a prompt has no token");
  if (longest >= context)
    throw new Error(`generate: a prompt of ${longest} tokens leaves no room in a context of ${context}`);
  const B = prompts.length;
  const texts: number[][] = prompts.map(() => []);
  const pads = prompts.map(({ length }) => longest - length);
  const pasts = program.inputs.filter((name) => name.startsWith("past_key_values."));
  let cache: Record<string, Data> = Object.fromEntries(pasts.map((name) => [name, new Float32Array(0)]));
  let ids = new Int32Array(B * longest);
  prompts.forEach((prompt, row) => ids.set(prompt, row * longest + pads[row]));
  const done = prompts.map(() => false);
  const limit = Math.min(maxTokens, context - longest);
  for (let P = 0; texts[0].length < limit && done.includes(false);) {
    const S = ids.length / B;
    const positions = Int32Array.from(ids, (_, i) => Math.max(0, P + (i % S) - pads[Math.floor(i / S)]));
    const mask = Int32Array.from(
      { length: B * (P + S) },
      (_, i) => +(i % (P + S) >= pads[Math.floor(i / (P + S))]),
    );
    const lengths = {
      batch_size: B,
      sequence_length: S,
      past_sequence_length: P,
      total_sequence_length: P + S,
    };
    const feeds = { input_ids: ids, position_ids: positions, attention_mask: mask, ...cache };
    const { logits, ...presents } = await program.run(feeds, lengths);
    free(Object.values(cache));
    cache = Object.fromEntries(
      Object.entries(presents).map(([name, data]) => [name.replace("present", "past_key_values"), data]),
    );
    const vocabulary = logits.length / (B * S);
    ids = Int32Array.from({ length: B }, (_, row) =>
      argmax(logits.subarray(((row + 1) * S - 1) * vocabulary, (row + 1) * S * vocabulary)),
    );
    free([logits]);
    P += S;
    for (const [row, id] of ids.entries()) {
      texts[row].push(id);
      done[row] ||= ends.includes(id);
    }
  }
  free(Object.values(cache));
  return texts.map((text) => {
    const end = text.findIndex((id) => ends.includes(id));
    return Int32Array.from(end < 0 ? text : text.slice(0, end));
  });
}
