/**
 * @file Two seeded generators of numbers in [0, 1).
 *
 * Decision: no library. Their exact sequences are part of the output: splitmix32 decides every sampled text, mulberry32
 * the order of the training data. pure-rand (8.4, maintained, runs in Bun) has xorshift128+, xoroshiro128+,
 * a Mersenne twister and a linear congruential generator, so it would change both, and nothing else on npm offers
 * these two. Each is a few lines of integer arithmetic; test/random/prng.test.ts pins their first numbers.
 *
 * Neither is for secrets.
 */

/** A generator: each call returns the next number in [0, 1). */
export type Random = () => number;

/** splitmix32, a 32-bit SplitMix (Steele, Lea and Flood, 2014). @param seed taken modulo 2³² */
export function splitmix32(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** mulberry32 (Tommy Ettinger, public domain). @param seed taken modulo 2³² */
export function mulberry32(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
