/** @file The results of an experiment as a table, a plot, and a page with both. */
import { html, raw } from "hono/html";
import type { Bits } from "../run/summary.ts";
import type { Outcome, Results } from "./experiment.ts";

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Sample standard deviation of two or more values. */
const deviation = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

const listArms = ({ outcomes }: Results) => [...new Set(outcomes.map(({ arm }) => arm))];
const listDomains = ({ untrained }: Results) => Object.keys(untrained);

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

const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

/** Bits per byte as a Markdown table: mean ± deviation over the seeds, and the mean of the paired differences. */
export function table(results: Results, baseline: string): string {
  const domains = listDomains(results);
  const plain = (bits: Bits) => domains.map((domain) => bits[domain].toFixed(4));
  const rows = listArms(results).map((arm) => [
    arm,
    ...domains.map((domain) => {
      const bits = findBits(results, arm, domain);
      const difference =
        arm === baseline ? "" : ` (${signed(mean(differences(results, arm, baseline, domain)))})`;
      const spread = bits.length > 1 ? ` ± ${deviation(bits).toFixed(4)}` : "";
      return `${mean(bits).toFixed(4)}${spread}${difference}`;
    }),
  ]);
  const lines = [
    ["", ...domains],
    ["---", ...domains.map(() => "---")],
    ["no training", ...plain(results.untrained)],
    ...rows,
    ...Object.entries(results.bounds).map(([name, bits]) => [`*${name}*`, ...plain(bits)]),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Lays out one panel of the plot: the differences of each arm to the baseline, seed by seed, and their mean. */
function panel(
  domain: string,
  all: readonly (readonly number[])[],
  { left, width, top, row }: Readonly<Record<"left" | "width" | "top" | "row", number>>,
) {
  const max = Math.max(1e-9, ...all.flat().map(Math.abs)) * 1.1;
  const toX = (difference: number) =>
    (left + 12 + ((difference + max) / (2 * max)) * (width - 24)).toFixed(1);
  const bottom = top + all.length * row;
  const marks = all.map((values, i) => {
    const y = top + i * row + row / 2;
    const colour = mean(values) < 0 ? "#2a7f62" : "#b4472e";
    const dots = values.map(
      (value) => html`<circle cx="${toX(value)}" cy="${y}" r="3.5" fill="${colour}" fill-opacity="0.55" />`,
    );
    return html`<line
        x1="${toX(0)}"
        x2="${toX(mean(values))}"
        y1="${y}"
        y2="${y}"
        stroke="${colour}"
        stroke-width="5"
        stroke-opacity="0.4"
      />${dots} `;
  });
  const ends = ([-1, 1] as const).map((side) => {
    const x = left + width / 2 + side * (width / 2 - 12);
    const anchor = side < 0 ? "start" : "end";
    return html`<text x="${x}" y="${bottom + 20}" text-anchor="${anchor}" fill="#777"
      >${signed(side * max)}</text
    > `;
  });
  return html`<text x="${left + width / 2}" y="30" text-anchor="middle" font-weight="bold">${domain}</text>
    <line x1="${toX(0)}" x2="${toX(0)}" y1="${top - 6}" y2="${bottom + 4}" stroke="#888" />
    ${marks}${ends}`;
}

/** An SVG with a panel per domain. */
export function plot(results: Results, baseline: string): string {
  const arms = listArms(results).filter((arm) => arm !== baseline);
  const domains = listDomains(results);
  const [labels, width, row, top] = [190, 230, 26, 46];
  const size = { width: labels + domains.length * width, height: top + arms.length * row + 34 };
  const names = arms.map(
    (arm, i) =>
      html`<text x="${labels - 8}" y="${top + i * row + row / 2 + 4}" text-anchor="end">${arm}</text> `,
  );
  const panels = domains.map((domain, i) => {
    const all = arms.map((arm) => differences(results, arm, baseline, domain));
    return panel(domain, all, { left: labels + i * width, width, top, row });
  });
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${size.width}"
    height="${size.height}"
    font-family="system-ui, sans-serif"
    font-size="13"
  >
    <rect width="${size.width}" height="${size.height}" fill="#fff" />
    <text x="8" y="30">bits per byte − ${baseline}; left is better</text>
    ${names}${panels}
  </svg>`.toString();
}

/** One HTML page that needs nothing else. */
export function page(results: Results, baseline: string, command: string): string {
  const [head, , ...rows] = table(results, baseline)
    .split("\n")
    .map((line) => line.slice(2, -2).replaceAll("*", "").split(" | "));
  const seeds = new Set(results.outcomes.map(({ seed }) => seed)).size;
  return html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" /><title>Experiment</title>
      <style>
        body {
          font:
            15px/1.5 system-ui,
            sans-serif;
          margin: 2rem auto;
          max-width: 70rem;
          padding: 0 1rem;
        }
        table {
          border-collapse: collapse;
        }
        td,
        th {
          padding: 0.2rem 0.8rem;
          border-bottom: 1px solid #ddd;
          text-align: left;
        }
        svg {
          max-width: 100%;
          height: auto;
        }
      </style>
      <h1>What fusion is worth</h1>
      <p>
        Bits per byte on held-out text after ${results.outcomes[0].tokens} tokens, the same in the same order
        for every arm; mean ± standard deviation over seeds (${seeds}), in brackets the mean difference to
        ${baseline} of the same seed. Below, untrained: each teacher, and the average of all their
        predictions. Made by <code>${command}</code>.
      </p>
      ${raw(plot(results, baseline))}
      <table>
        <tr>
          ${head.map((cell) => html`<th>${cell}</th>`)}
        </tr>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </table>
    </html> `.toString();
}
