import { expect, test } from "bun:test";
import fc from "fast-check";
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { onCommonBoundaries } from "../../src/evaluate/ensemble.ts";

test("models are compared on their common segments, and the average is the mean of probabilities", () => {
  const p = (...values: number[]) => Float32Array.from(values, (value) => -Math.log(value));
  // "abcdef" as ab|c|d|ef and as ab|cd|e|f: both end at bytes 2, 4 and 6.
  const first = { domain: "x", ends: Int32Array.of(2, 3, 4, 6), nll: p(0.5, 0.5, 0.1, 1) };
  const second = { domain: "x", ends: Int32Array.of(2, 4, 5, 6), nll: p(0.75, 0.3, 0.5, 1) };
  const [a, b, average] = onCommonBoundaries([first, second]);
  expect([...a.ends]).toEqual([2, 4, 6]);
  const probabilities = (nll: Float32Array) =>
    Array.from(nll, (value) => Number(Math.exp(-value).toFixed(5)));
  expect(probabilities(a.nll)).toEqual([0.25, 0.1, 1]);
  expect(probabilities(b.nll)).toEqual([0.75, 0.15, 1]);
  expect(probabilities(average.nll)).toEqual([0.5, 0.125, 1]);
  expect(bitsPerByte([average]).x).toBeCloseTo((1 + 3) / 4, 5);
});

test("a segment's nll is the sum over its tokens, in any tokenization", () => {
  const bytes = 12;
  const tokens = fc
    .array(fc.integer({ min: 1, max: bytes - 1 }), { maxLength: 7 })
    .map((cuts) => Int32Array.from([...new Set([...cuts, bytes])].sort((a, b) => a - b)));
  const model = fc.record({
    // Some texts end with eos, which has no bytes.
    ends: fc
      .tuple(tokens, fc.boolean())
      .map(([ends, closed]) => Int32Array.from(closed ? [...ends, bytes] : ends)),
    nll: fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 10, maxLength: 10 }),
  });
  fc.assert(
    fc.property(fc.array(model, { minLength: 1, maxLength: 3 }), (models) => {
      const texts = models.map(({ ends, nll }) => ({
        domain: "x",
        ends,
        nll: Float32Array.from(ends, (_, t) => (t + 1 < ends.length ? nll[t] / 4 : 0)),
      }));
      const found = onCommonBoundaries(texts);
      const cuts = Array.from({ length: bytes }, (_, byte) => byte + 1).filter((end) =>
        texts.every(({ ends }) => ends.includes(end)),
      );
      expect(found.length).toBe(models.length + 1);
      for (const { ends, nll } of found) expect([[...ends], nll.length]).toEqual([cuts, cuts.length]);
      for (let i = 0; i < cuts.length; i++) {
        const segment = texts.map(({ ends, nll }) =>
          ends.reduce((sum, end, t) => {
            // The first token is not predicted; one at the very end belongs to the last segment.
            const inside = t > 0 && end > cuts[i] && end <= cuts[i + 1];
            return sum + (inside ? nll[t - 1] : 0);
          }, 0),
        );
        segment.forEach((nats, m) => expect(found[m].nll[i]).toBeCloseTo(nats, 4));
        const mean = segment.reduce((sum, nats) => sum + Math.exp(-nats), 0) / models.length;
        expect(found[models.length].nll[i]).toBeCloseTo(-Math.log(mean), 4);
      }
    }),
    { numRuns: 500 },
  );
});

test("the average of two tiny probabilities does not underflow", () => {
  const one = { domain: "x", ends: Int32Array.of(1, 2), nll: Float32Array.of(2000, 0) };
  const [, , average] = onCommonBoundaries([one, { ...one, nll: Float32Array.of(2001, 0) }]);
  expect(average.nll[0]).toBeCloseTo(2000 - Math.log((1 + Math.exp(-1)) / 2), 3);
});
