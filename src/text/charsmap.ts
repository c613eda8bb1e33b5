/** @file Checks SentencePiece's precompiled_charsmap before the tokenizers library uses it. */

/**
 * Whether every lookup in a precompiled_charsmap stays in bounds: a double-array trie (darts-clone), then the
 * replacement texts that its leaves point to.
 * Layout: https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
 */
export function isSoundCharsmap(base64: unknown): boolean {
  if (typeof base64 !== "string") return false;
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length < 4) return false;
  const size = bytes.readUInt32LE(0);
  if (size % 4 !== 0 || size === 0 || 4 + size > bytes.length) return false;
  const texts = bytes.subarray(4 + size);
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  /** Whether a replacement can start here: at the first byte of a character. */
  const isStart = (at: number) => at < texts.length && (texts[at] & 0xc0) !== 0x80;
  return units.every((unit, at) => {
    // A leaf is reached only through its parent.
    if (unit >>> 31) return true;
    const next = at ^ ((unit >>> 10) << ((unit & 0x200) >>> 6));
    if ((next | 0xff) >= units.length) return false;
    return !(unit & 0x100) || isStart(units[next] & 0x7fffffff);
  });
}
