/** @file The results of an experiment as a Markdown table. */
import type { Bits } from "../run/summary.ts";
import type { Outcome, Results } from "./experiment.ts";

export const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Sample standard deviation of two or more values. */
const deviation = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

export const listArms = ({ outcomes }: Results) => [...new Set(outcomes.map(({ arm }) => arm))];
export const listDomains = ({ untrained }: Results) => Object.keys(untrained);

function findBits({ outcomes }: Results, arm: string, domain: string): number[] {
  return outcomes.filter((outcome) => outcome.arm === arm).map(({ bits }) => bits[domain]);
}

/** Per seed, the difference to the baseline of that seed. */
export function differences({ outcomes }: Results, arm: string, baseline: string, domain: string): number[] {
  const find = (name: string, seed: number): Outcome =>
    outcomes.find((outcome) => outcome.arm === name && outcome.seed === seed)!;
  return outcomes
    .filter((outcome) => outcome.arm === arm)
    .map(({ seed, bits }) => bits[domain] - find(baseline, seed).bits[domain]);
}

export const formatSigned = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

/** Bits per byte as cells: mean ± deviation over the seeds, and the mean of the paired differences. */
export function tableCells(results: Results, baseline: string) {
  const domains = listDomains(results);
  const plain = (bits: Bits) => domains.map((domain) => bits[domain].toFixed(4));
  const rows = listArms(results).map((arm) => [
    arm,
    ...domains.map((domain) => {
      const bits = findBits(results, arm, domain);
      const difference =
        arm === baseline ? "" : ` (${formatSigned(mean(differences(results, arm, baseline, domain)))})`;
      const spread = bits.length > 1 ? ` ± ${deviation(bits).toFixed(4)}` : "";
      return `${mean(bits).toFixed(4)}${spread}${difference}`;
    }),
  ]);
  return {
    head: ["", ...domains],
    arms: [["no training", ...plain(results.untrained)], ...rows],
    bounds: Object.entries(results.bounds).map(([name, bits]) => [name, ...plain(bits)]),
  };
}

/** The same as a Markdown table. */
export function table(results: Results, baseline: string): string {
  const { head, arms, bounds } = tableCells(results, baseline);
  const italic = bounds.map(([name, ...cells]) => [`*${name}*`, ...cells]);
  const lines = [head, head.map(() => "---"), ...arms, ...italic];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
