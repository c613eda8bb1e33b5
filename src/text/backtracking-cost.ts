/** @file How often parts of a regular expression backtrack, computed from the costs of their parts. */

/** The cost of matching a part at one position of a text of n characters: at most ways · n^degree retries. */
interface Cost {
  readonly degree: number;
  readonly ways: number;
}

export interface Part {
  /** @param mayFail whether what follows may fail, so that this part gives back what it matched. */
  cost(mayFail: boolean): Cost;
  /** Whether it may fail itself at any position. */
  readonly fallible: boolean;
  /** How many characters it matches, if always the same number. */
  readonly width: number | undefined;
}

/** Upper bound of ways; expressions of known models have under 50. */
export const maxWays = 1000;

const unbounded: Cost = { degree: Infinity, ways: Infinity };
export const character: Part = { cost: () => ({ degree: 0, ways: 1 }), fallible: true, width: 1 };
export const assertion: Part = { ...character, width: 0 };

const addWidths = (widths: readonly (number | undefined)[]) =>
  widths.reduce(
    (total, width) => (total === undefined || width === undefined ? undefined : total + width),
    0,
  );

export function sequence(parts: readonly Part[]): Part {
  return {
    cost(mayFail) {
      let [degree, ways] = [0, 1];
      for (const part of parts.toReversed()) {
        const own = part.cost(mayFail);
        degree += own.degree;
        ways *= own.ways;
        mayFail ||= part.fallible;
      }
      return { degree, ways };
    },
    fallible: parts.some(({ fallible }) => fallible),
    width: addWidths(parts.map(({ width }) => width)),
  };
}

const addWays = (costs: readonly Cost[]) => costs.reduce((total, { ways }) => total + ways, 0);

export function alternatives(parts: readonly Part[]): Part {
  return {
    cost(mayFail) {
      const costs = parts.map((part) => part.cost(mayFail));
      const degree = Math.max(...costs.map((cost) => cost.degree));
      const largest = costs.filter((cost) => cost.degree === degree);
      // Terms of lower degree add up to less than one retry per character of a long text.
      const others = addWays(costs.filter((cost) => cost.degree < degree));
      return others > maxWays ? unbounded : { degree, ways: addWays(largest) + (others > 0 ? 1 : 0) };
    },
    fallible: parts.every(({ fallible }) => fallible),
    width: parts.every(({ width }) => width === parts[0].width) ? parts[0].width : undefined,
  };
}

/** A lookahead or lookbehind is atomic: once it has matched, it is not retried. */
export const lookaround = (inside: Part): Part => ({
  cost: () => inside.cost(false),
  fallible: true,
  width: 0,
});

export function repeat(part: Part, min: number, max: number): Part {
  const fallible = min > 0 && part.fallible;
  const width = min === max && part.width !== undefined ? part.width * min : undefined;
  const cost = (mayFail: boolean): Cost => {
    if (max === 1) {
      const { degree, ways } = part.cost(mayFail);
      return { degree, ways: ways + (min === 0 ? 1 : 0) };
    }
    if (!mayFail) {
      // An iteration that fails ends the loop, and gives back nothing of the iterations before it.
      const { degree, ways } = part.cost(false);
      if (degree > 0) return unbounded;
      return { degree: ways > 1 ? 1 : 0, ways };
    }
    const { degree, ways } = part.cost(true);
    // A loop over a part that can match the same text in several ways: the ways multiply.
    if (degree > 0 || ways > 1 || !part.width) {
      if (degree > 0 || max > 8) return unbounded;
      return { degree: 0, ways: (ways + 1) ** max };
    }
    if (max === Infinity) return { degree: 1, ways: 1 };
    return { degree: 0, ways: max - min + 1 };
  };
  return { cost, fallible, width };
}
