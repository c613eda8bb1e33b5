/** Frequencies of sampled tokens against the definitions of the settings. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Sampler, type Sampling, greedy } from "../../src/generate/sample.ts";
import { splitmix32 } from "../../src/random/prng.ts";

const logits = Float32Array.from([2, 1, 0, -1, 3, -2, 0.5, -3]);
const probabilities = (temperature: number) => {
  const all = Array.from(logits, (value) => Math.exp(value / temperature));
  const sum = all.reduce((a, b) => a + b);
  return all.map((value) => value / sum);
};

/** The frequency of each token over many seeds. */
function shares(sampling: Partial<Sampling>, draws = 20_000): number[] {
  const counts = Array(logits.length).fill(0);
  for (let seed = 0; seed < draws; seed++)
    counts[new Sampler({ ...greedy, temperature: 1, ...sampling, seed }, []).sample(logits)]++;
  return counts.map((count) => count / draws);
}

function expectShares(found: readonly number[], expected: readonly number[]): void {
  // Four standard deviations.
  expected.forEach((p, id) =>
    expect(Math.abs(found[id] - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 20_000) + 1e-9),
  );
}

const renormalized = (keep: (p: number, id: number) => boolean, temperature = 1) => {
  const kept = probabilities(temperature).map((p, id) => (keep(p, id) ? p : 0));
  const sum = kept.reduce((a, b) => a + b);
  return kept.map((p) => p / sum);
};

describe("tokens are drawn with their probabilities", () => {
  test("at any temperature", () => {
    expectShares(shares({}), probabilities(1));
    expectShares(shares({ temperature: 0.5 }), probabilities(0.5));
    expectShares(shares({ temperature: 3 }), probabilities(3));
  });
  test("among the k most likely", () =>
    expectShares(
      shares({ topK: 3 }),
      renormalized((_, id) => [4, 0, 1].includes(id)),
    ));
  test("among the smallest set with probability p", () =>
    expectShares(
      shares({ topP: 0.8 }),
      renormalized(
        (_, id) => [4, 0].includes(id) || (id === 1 && probabilities(1)[4] + probabilities(1)[0] < 0.8),
      ),
    ));
  test("among those with a share of the largest probability", () => {
    const top = Math.max(...probabilities(1));
    expectShares(
      shares({ minP: 0.1 }),
      renormalized((p) => p >= 0.1 * top),
    );
  });
});

test("temperature 0 takes the most likely token; so does k = 1, and a tiny p", () => {
  for (const sampling of [{ temperature: 0 }, { topK: 1 }, { topP: 1e-9 }])
    expect(shares(sampling, 50)[4]).toBe(1);
});

test("penalties and biases follow their definitions", () => {
  const pick = (sampling: Partial<Sampling>, prompt: number[] = [], steps = 1) => {
    const sampler = new Sampler({ ...greedy, ...sampling }, prompt);
    return Array.from({ length: steps }, () => sampler.sample(logits));
  };
  expect(pick({ logitBias: [[3, 5]] })).toEqual([3]);
  expect(pick({ logitBias: [[4, -100]] })).toEqual([0]);
  // 3 − 0.6·n against 2 − 0.6·m.
  expect(pick({ frequencyPenalty: 0.6 }, [], 4)).toEqual([4, 4, 0, 4]);
  expect(pick({ presencePenalty: 1.5 }, [], 3)).toEqual([4, 0, 4]);
  // 3 / 2 is less than 2; the prompt counts too.
  expect(pick({ repetitionPenalty: 2 }, [], 2)).toEqual([4, 0]);
  expect(pick({ repetitionPenalty: 2 }, [4])).toEqual([0]);
});

test("topP applies to the renormalized top k", () => {
  const [a, b, c] = [4, 0, 1].map((id) => probabilities(1)[id]);
  // The first two hold 0.9 of the top three tokens, but not of all eight.
  expect([(a + b) / (a + b + c) > 0.9, a + b > 0.9]).toEqual([true, false]);
  const drawn = shares({ topK: 3, topP: 0.9 }, 500);
  expect(drawn.map((share) => share > 0)).toEqual([true, false, false, false, true, false, false, false]);
});

describe("all settings together apply one after the other", () => {
  /** A logit after bias and penalties, given the prompt and the generated tokens. */
  function adjusted(id: number, prompt: readonly number[], generated: readonly number[], sampling: Sampling) {
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = sampling;
    const times = generated.filter((token) => token === id).length;
    let logit = logits[id];
    for (const [biased, bias] of logitBias) if (biased === id) logit += bias;
    if (prompt.includes(id) || times > 0)
      logit = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    return logit - times * frequencyPenalty - (times > 0 ? presencePenalty : 0);
  }

  /** The remaining ids and probabilities, the most likely first, after top-k, top-p and min-p. */
  function kept(all: readonly number[], { temperature, topK, topP, minP }: Sampling) {
    const top = Math.max(...all);
    const entries = all
      .map((logit, id) => ({ id, weight: Math.exp((logit - top) / temperature) }))
      .sort((a, b) => b.weight - a.weight || a.id - b.id)
      .slice(0, topK || all.length);
    const mass = entries.reduce((sum, { weight }) => sum + weight, 0);
    let before = 0;
    return entries.filter(({ weight }, i) => {
      const holds = before >= topP * mass;
      before += weight;
      return i === 0 || (!holds && weight >= minP);
    });
  }

  const sampling: fc.Arbitrary<Sampling> = fc.record({
    temperature: fc.constantFrom(0, 0.25, 1, 1.5, 4),
    topP: fc.constantFrom(0.1, 0.5, 0.75, 0.9, 0.97, 1),
    topK: fc.constantFrom(0, 0, 1, 2, 3, 5, 100),
    minP: fc.constantFrom(0, 0, 0.0002, 0.05, 0.3, 1),
    // Powers of two are exact in float32.
    repetitionPenalty: fc.constantFrom(1, 0.5, 2, 4),
    frequencyPenalty: fc.constantFrom(0, 0.25, 1, -0.5),
    presencePenalty: fc.constantFrom(0, 0.5, 1.5, -1),
    logitBias: fc.array(fc.tuple(fc.nat(logits.length + 2), fc.constantFrom(-4, -0.5, 1, 2)), {
      maxLength: 3,
    }),
    seed: fc.nat(),
  });
  const prompts = fc.array(fc.nat(logits.length - 1), { maxLength: 4 });

  test("for any prompt and any generated tokens", () => {
    fc.assert(
      fc.property(sampling, prompts, (sampling, prompt) => {
        const sampler = new Sampler(sampling, prompt);
        const random = splitmix32(sampling.seed);
        const generated: number[] = [];
        for (let step = 0; step < 6; step++) {
          const all = Array.from(logits, (_, id) => adjusted(id, prompt, generated, sampling));
          const next = sampler.sample(logits);
          if (sampling.temperature === 0) expect(next).toBe(all.indexOf(Math.max(...all)));
          else {
            const left = kept(all, sampling);
            // Without truncation the draw is over the ids in order.
            if (sampling.topP === 1 && sampling.topK === 0 && sampling.minP === 0)
              left.sort((a, b) => a.id - b.id);
            let rest = random() * left.reduce((sum, { weight }) => sum + weight, 0);
            expect(next).toBe(left.find(({ weight }) => (rest -= weight) < 0)!.id);
          }
          generated.push(next);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
