/** @file Bits per byte: what a model needs to write text down, whatever its tokens are. */

export interface ScoredText {
  readonly domain: string;
  /** i32[T], the byte at which each token ends */
  readonly ends: Int32Array;
  /** f32[T], −log p of the token after each position, in nats; 0 at the last */
  readonly nll: Float32Array;
}

/**
 * Σ nll / ln 2 / bytes per domain, in the order in which the domains come. The first token of a text
 * is predicted by nothing, so its bytes do not count; a domain of which no byte counts is left out.
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
