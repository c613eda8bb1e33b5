/** @file An inspection as an HTML page. */
import { html } from "hono/html";
import type { Candidate, Inspection, TokenView } from "./inspect.ts";
import { findWinner, listCandidates, percent, rests, toVisible } from "./terminal-table.ts";

/** The teachers' colours, distinct for colour-blind readers too (Okabe & Ito, 2008). */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442"];

const pickColour = (teacher: number) => (teacher < 0 ? "#999" : colours[teacher % colours.length]);

/** Opacity in hex: the larger the part, the stronger the colour. */
const toAlpha = (share: number) =>
  Math.round(40 + 160 * share)
    .toString(16)
    .padStart(2, "0");

/** A token of the text in the colour of its winner, with all that is known of it as a tooltip. */
function tokenSpan(view: TokenView, { teachers, tail }: Inspection) {
  const winner = findWinner(view);
  const colour = `${pickColour(winner)}${toAlpha(view.teachers[winner]?.share ?? 0)}`;
  const lines = view.teachers.map(({ candidates, rest, share }, i) => {
    const prediction =
      rest === undefined
        ? "silent"
        : `${listCandidates(candidates)}  ${rests[tail][1]} ${percent(rest)}`.trim();
    return `${teachers[i]} (${percent(share)} % of what is fused): ${prediction}`;
  });
  const title = [...lines, `fused: ${listCandidates(view.fused)}`].join("\n");
  return html`<span title="${title}" style="background:${colour}">${toVisible(view.token)}</span>`;
}

/** A probability as a bar behind its label. */
const bar = (label: unknown, probability: number) =>
  html`<div class="c">
    <i style="width:${(probability * 100).toFixed(1)}%"></i>${label} ${percent(probability)}
  </div>`;

const candidateBar = ({ token, probability }: Candidate, truth: string) =>
  bar(
    token === truth ? html`<b class="t">${toVisible(token)}</b>` : html`<b>${toVisible(token)}</b>`,
    probability,
  );

/** A row of the table: a token, and what each teacher and the fused target predict. */
function tokenRow(view: TokenView, { tail }: Inspection) {
  const cells = view.teachers.map(({ candidates, rest, share }, i) => {
    const colour = `${pickColour(i)}${share > 0 ? toAlpha(share) : "00"}`;
    const bars = candidates.map((candidate) => candidateBar(candidate, view.token));
    const content = rest === undefined ? "–" : [...bars, bar(html`<em>${rests[tail][1]}</em>`, rest)];
    return html`<td style="border-left:4px solid ${colour}">${content}</td>`;
  });
  const fused = view.fused.map((candidate) => candidateBar(candidate, view.token));
  return html`<tr>
    <th>${toVisible(view.token)}<small>${percent(view.truth)} % of the target</small></th>
    ${cells}
    <td>${fused}</td>
  </tr> `;
}

const style = html`<style>
  body {
    font:
      15px/1.5 system-ui,
      sans-serif;
    margin: 2rem auto;
    max-width: 80rem;
    padding: 0 1rem;
    color: #222;
    background: #fff;
  }
  .text {
    font:
      1.1rem/2 ui-monospace,
      monospace;
    overflow-wrap: anywhere;
  }
  .text span,
  .legend span {
    padding: 0.15rem 0.2rem;
    border-radius: 3px;
  }
  .legend span {
    margin-right: 0.6rem;
    padding: 0.15rem 0.6rem;
  }
  table {
    border-collapse: collapse;
    width: 100%;
  }
  td,
  th {
    padding: 0.3rem 0.6rem;
    border-bottom: 1px solid #ddd;
    text-align: left;
    vertical-align: top;
  }
  small {
    display: block;
    color: #777;
    font-weight: normal;
  }
  .c {
    position: relative;
    font-size: 0.85rem;
  }
  .c i {
    position: absolute;
    inset: 1px auto 1px 0;
    background: #0001;
  }
  .c .t {
    text-decoration: underline;
  }
</style>`;

/** A page that needs nothing else: the text in its teachers' colours, and a row for each token. */
export function page(inspection: Inspection): string {
  const { teachers, tokens } = inspection;
  const legend = teachers.map((name, i) => html`<span style="background:${pickColour(i)}99">${name}</span>`);
  const content = html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" /><title>What the teachers say</title>
      ${style}
      <h1>What the teachers say</h1>
      <p>
        Each token has the colour of the teacher with the largest part in what was fused there, the stronger
        the larger it is; grey is the text alone. Numbers are percent: of each teacher, what it says itself,
        and what none of its candidates has; the true token is underlined.
      </p>
      <p class="legend">${legend}</p>
      <p class="text">${tokens.map((view) => tokenSpan(view, inspection))}</p>
      <table>
        <tr>
          <th>next token</th>
          ${teachers.map((name) => html`<th>${name}</th>`)}
          <th>fused</th>
        </tr>
        ${tokens.map((view) => tokenRow(view, inspection))}
      </table>
    </html> `;
  return String(content as string);
}
