/** The exact sequences: served texts and the order of training data depend on them. */
import { expect, test } from "bun:test";
import { type Random, mulberry32, splitmix32 } from "../../src/random/prng.ts";

/** The first three numbers times 2³², which makes them whole. */
const firstThree = (random: Random) => Array.from({ length: 3 }, () => random() * 2 ** 32);

test.each([
  [0, [1684164658, 3653269916, 2939563536]],
  [42, [551831576, 144025891, 322543647]],
  [2 ** 32 - 1, [3950124170, 4293442868, 1302505678]],
  [-7, [3546010066, 3675335440, 1668422175]],
])("splitmix32 from seed %d", (seed, expected) => {
  expect(firstThree(splitmix32(seed))).toEqual(expected);
});

test.each([
  [0, [1144304738, 1416247, 958946056]],
  [42, [2581720956, 1925393290, 3661312704]],
  [2 ** 32 - 1, [3850105811, 813802916, 3073704848]],
  [-7, [1860010037, 1397564179, 2337619704]],
])("mulberry32 from seed %d", (seed, expected) => {
  expect(firstThree(mulberry32(seed))).toEqual(expected);
});

test("seeds count modulo 2³²", () => {
  for (const generator of [splitmix32, mulberry32])
    expect(firstThree(generator(2 ** 32 + 42))).toEqual(firstThree(generator(42)));
});
