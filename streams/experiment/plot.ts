/** @file The results of an experiment as a plot: the difference of each arm to the baseline, seed by seed. */
import { html } from "hono/html";
import type { Results } from "./experiment.ts";
import { differences, formatSigned, listArms, listDomains, mean } from "./table.ts";

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
      >${formatSigned(side * max)}</text
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
  const content = html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${size.width}"
    height="${size.height}"
    font-family="system-ui, sans-serif"
    font-size="13"
  >
    <rect width="${size.width}" height="${size.height}" fill="#fff" />
    <text x="8" y="30">bits per byte − ${baseline}; left is better</text>
    ${names}${panels}
  </svg>`;
  return String(content as string);
}
