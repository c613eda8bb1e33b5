/** @file How many rows of logits are computed at a time, so that [tokens, vocabulary] is never alive. */

/** Logits that may be alive at a time, in rows and in elements (128 MiB). */
const chunkRows = 1024;
const chunkElements = 2 ** 25;

/** Sizes of the chunks in which `total` rows of logits over a vocabulary are computed. */
export function chunkSizes(total: number, vocabulary: number): number[] {
  const size = Math.max(1, Math.min(chunkRows, Math.floor(chunkElements / vocabulary)));
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => Math.min(size, total - i * size));
}
