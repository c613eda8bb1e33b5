/** @file The results of an experiment as an HTML page, with the table and the plot. */
import { html, raw } from "hono/html";
import type { Results } from "./experiment.ts";
import { plot } from "./plot.ts";
import { tableCells } from "./table.ts";

const style = html`<style>
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
</style>`;

/** One HTML page that needs nothing else. */
export function page(results: Results, baseline: string, command: string): string {
  const { head, arms, bounds } = tableCells(results, baseline);
  const seeds = new Set(results.outcomes.map(({ seed }) => seed)).size;
  const content = html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" /><title>Experiment</title>
      ${style}
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
        ${[...arms, ...bounds].map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </table>
    </html> `;
  return String(content as string);
}
