import { expect, test } from "bun:test";
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";

const scored = (domain: string, ends: number[], bits: number[]) => ({
  domain,
  ends: Int32Array.from(ends),
  nll: Float32Array.from(bits, (value) => value * Math.LN2),
});

test("bits of all texts of a domain over all their bytes except those of first tokens", () => {
  const found = bitsPerByte([
    scored("sea", [2, 5, 10], [6, 10, 0]),
    scored("speech", [1, 2], [3, 0]),
    scored("sea", [4, 6], [2, 0]),
  ]);
  // 16 bits for 8 bytes and 2 for 2 bytes, every byte with the same weight; 3 bits for 1 byte.
  expect(Object.keys(found)).toEqual(["sea", "speech"]);
  expect(found.sea).toBeCloseTo(18 / 10, 6);
  expect(found.speech).toBeCloseTo(3, 6);
});

test("eos costs bits and has no bytes; after bos the first byte counts", () => {
  expect(bitsPerByte([scored("x", [2, 5, 5], [6, 3, 0])]).x).toBeCloseTo(9 / 3, 6);
  expect(bitsPerByte([scored("x", [0, 2, 5], [4, 6, 0])]).x).toBeCloseTo(10 / 5, 6);
});
