/** @file Bits per byte: a model's loss on text, comparable across tokenizers. */

// T tokens.

export interface ScoredText {
  readonly domain: string;
  /** i32[T], the byte at which each token ends */
  readonly ends: Int32Array;
  /** f32[T], −log p of the next token at each position, in nats; 0 at the last */
  readonly nll: Float32Array;
}

/**
 * Σ nll / ln 2 / bytes per domain, in order of first appearance. The bytes of a text's first token do not count,
 * since nothing predicts it; a domain without any counted byte is left out.
 */
export function bitsPerByte(texts: Iterable<ScoredText>): Record<string, number> {
  const sums = new Map<string, { nats: number; bytes: number }>();
  for (const { domain, ends, nll } of texts) {
    const sum = sums.get(domain) ?? { nats: 0, bytes: 0 };
    sums.set(domain, sum);
    for (const value of nll) sum.nats += value;
    sum.bytes += (ends.at(-1) ?? 0) - (ends[0] ?? 0);
  }
  const measured = [...sums].filter(([, { bytes }]) => bytes > 0);
  return Object.fromEntries(measured.map(([domain, { nats, bytes }]) => [domain, nats / Math.LN2 / bytes]));
}
