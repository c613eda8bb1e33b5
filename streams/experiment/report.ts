/** @file What an experiment came to: a table, a plot, and a page with both. */
import type { Bits, Outcome, Results } from "./experiment.ts";
import { escape } from "../inspect/html.ts";

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Sample standard deviation, of more than one value. */
const deviation = (values: readonly number[]) =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

const armsOf = ({ outcomes }: Results) => [...new Set(outcomes.map(({ arm }) => arm))];
const domainsOf = ({ untrained }: Results) => Object.keys(untrained);

function bitsOf({ outcomes }: Results, arm: string, domain: string): number[] {
  return outcomes.filter((outcome) => outcome.arm === arm).map(({ bits }) => bits[domain]);
}

/** Differences to the baseline of the same seed. */
export function differences({ outcomes }: Results, arm: string, baseline: string, domain: string): number[] {
  const of = (name: string, seed: number): Outcome =>
    outcomes.find((outcome) => outcome.arm === name && outcome.seed === seed)!;
  return outcomes
    .filter((outcome) => outcome.arm === arm)
    .map(({ seed, bits }) => bits[domain] - of(baseline, seed).bits[domain]);
}

const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

/** Bits per byte as a Markdown table: mean ± deviation over the seeds, and the mean of the paired differences. */
export function table(results: Results, baseline: string): string {
  const domains = domainsOf(results);
  const plain = (bits: Bits) => domains.map((domain) => bits[domain].toFixed(4));
  const rows = armsOf(results).map((arm) => [
    arm,
    ...domains.map((domain) => {
      const bits = bitsOf(results, arm, domain);
      const to = arm === baseline ? "" : ` (${signed(mean(differences(results, arm, baseline, domain)))})`;
      const spread = bits.length > 1 ? ` ± ${deviation(bits).toFixed(4)}` : "";
      return `${mean(bits).toFixed(4)}${spread}${to}`;
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

/** A panel for each domain: the difference of each arm to the baseline, seed by seed, and its mean. */
export function plot(results: Results, baseline: string): string {
  const arms = armsOf(results).filter((arm) => arm !== baseline);
  const domains = domainsOf(results);
  const [labels, width, row, top] = [190, 230, 26, 46];
  const height = top + arms.length * row + 34;
  const panel = (domain: string, index: number) => {
    const left = labels + index * width;
    const all = arms.map((arm) => differences(results, arm, baseline, domain));
    const most = Math.max(1e-9, ...all.flat().map(Math.abs)) * 1.1;
    const x = (difference: number) => left + 12 + ((difference + most) / (2 * most)) * (width - 24);
    const marks = all.map((values, i) => {
      const y = top + i * row + row / 2;
      const colour = mean(values) < 0 ? "#2a7f62" : "#b4472e";
      const dots = values.map(
        (value) =>
          `<circle cx="${x(value).toFixed(1)}" cy="${y}" r="3.5" fill="${colour}" fill-opacity="0.55"/>`,
      );
      const line = `<line x1="${x(0).toFixed(1)}" x2="${x(mean(values)).toFixed(1)}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="5" stroke-opacity="0.4"/>`;
      return `${line}${dots.join("")}`;
    });
    const bottom = top + arms.length * row;
    return [
      `<text x="${left + width / 2}" y="30" text-anchor="middle" font-weight="bold">${escape(domain)}</text>`,
      `<line x1="${x(0).toFixed(1)}" x2="${x(0).toFixed(1)}" y1="${top - 6}" y2="${bottom + 4}" stroke="#888"/>`,
      ...marks,
      ...([-1, 1] as const).map((side) => {
        const anchor = side < 0 ? "start" : "end";
        const place = `x="${left + width / 2 + side * (width / 2 - 12)}" y="${bottom + 20}"`;
        return `<text ${place} text-anchor="${anchor}" fill="#777">${signed(side * most)}</text>`;
      }),
    ].join("\n");
  };
  const names = arms.map(
    (arm, i) =>
      `<text x="${labels - 8}" y="${top + i * row + row / 2 + 4}" text-anchor="end">${escape(arm)}</text>`,
  );
  const size = `width="${labels + domains.length * width}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="13">`,
    `<rect ${size} fill="#fff"/>`,
    `<text x="8" y="30">bits per byte − ${escape(baseline)}; left is better</text>`,
    ...names,
    ...domains.map(panel),
    "</svg>",
  ].join("\n");
}

/** One HTML page that needs nothing else. */
export function page(results: Results, baseline: string, command: string): string {
  const [head, , ...rows] = table(results, baseline)
    .split("\n")
    .map((line) => line.slice(2, -2).split(" | "));
  const cells = (tag: string, row: readonly string[]) =>
    `<tr>${row.map((cell) => `<${tag}>${escape(cell.replaceAll("*", ""))}</${tag}>`).join("")}</tr>`;
  const seeds = new Set(results.outcomes.map(({ seed }) => seed)).size;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Experiment</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}svg{max-width:100%;height:auto}</style>
<h1>What fusion is worth</h1>
<p>Bits per byte on held-out text after ${results.outcomes[0].tokens} tokens, the same in the same order for every arm;
mean ± standard deviation over seeds (${seeds}), in brackets the mean difference to ${escape(baseline)} of the same seed.
Below, untrained: each teacher, and the average of all their predictions. Made by <code>${escape(command)}</code>.</p>
${plot(results, baseline)}
<table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("\n")}</table></html>
`;
}
