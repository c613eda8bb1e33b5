/** @file An inspection as a table in the terminal, and as a page. */
import { html } from "hono/html";
import type { Candidate, Inspection, TokenView } from "./inspect.ts";

const signs: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "⇥", "\x7f": "␡" };

/** Shows blanks, invisible characters and those that a terminal would obey as printable signs. */
const toVisible = (token: string) =>
  token.replace(
    // oxlint-disable-next-line no-control-regex
    /[\x00-\x20\x7f]/g,
    (character) => signs[character] ?? String.fromCharCode(0x2400 + character.charCodeAt(0)),
  );

const percent = (probability: number) => `${Math.round(probability * 100)}`;
const listCandidates = (candidates: readonly Candidate[]) =>
  candidates.map(({ token, probability }) => `${toVisible(token)} ${percent(probability)}`).join("  ");

/** Where the probability of no candidate goes, in one word and in a clause. */
const rests = {
  text: ["text", "left to the text"],
  keep: ["rest", "of no candidate"],
  renormalize: ["rest", "of no candidate"],
} as const;

const fit = (text: string, size: number) => {
  const width = Bun.stringWidth(text);
  if (width <= size) return text + " ".repeat(size - width);
  return `${Bun.sliceAnsi(text, 0, Math.max(0, size - 1))}…`;
};

/** The teacher with the largest part; −1 if none aligns. */
const findWinner = ({ teachers }: TokenView) =>
  teachers.reduce((best, { share }, i) => (share > (teachers[best]?.share ?? 0) ? i : best), -1);

/**
 * A table as wide as the terminal: candidates with their probabilities in percent, then the rest that no candidate
 * has, with a star before the teacher with the largest part.
 */
export function terminalTable({ teachers, tail, tokens }: Inspection, width: number): string {
  const names = ["next token", ...teachers, "fused"];
  const first = 16;
  const each = Math.max(14, Math.floor((width - first) / (names.length - 1)) - 1);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => fit(cell, i === 0 ? first : each))
      .join(" ")
      .trimEnd();
  const rows = tokens.map((view) => {
    const winner = findWinner(view);
    const cells = view.teachers.map(({ candidates, rest }, i) => {
      const star = i === winner ? "*" : " ";
      if (rest === undefined) return `${star}–`;
      const end = ` ${rests[tail][0]} ${percent(rest)}`;
      return star + fit(listCandidates(candidates), each - 1 - end.length) + end;
    });
    return line([toVisible(view.token), ...cells, listCandidates(view.fused)]);
  });
  return [line(names), ...rows].join("\n");
}

/** The teachers' colours, distinct for colour-blind readers too (Okabe & Ito, 2008). */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442"];

const colourOf = (teacher: number) => (teacher < 0 ? "#999" : colours[teacher % colours.length]);

/** Opacity in hex: the larger the part, the stronger the colour. */
const toAlpha = (share: number) =>
  Math.round(40 + 160 * share)
    .toString(16)
    .padStart(2, "0");

/** A token of the text in the colour of its winner, with all that is known of it as a tooltip. */
function tokenSpan(view: TokenView, { teachers, tail }: Inspection) {
  const winner = findWinner(view);
  const colour = `${colourOf(winner)}${toAlpha(view.teachers[winner]?.share ?? 0)}`;
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
    const colour = `${colourOf(i)}${share > 0 ? toAlpha(share) : "00"}`;
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

/** A page that needs nothing else: the text in its teachers' colours, and a row for each token. */
export function page(inspection: Inspection): string {
  const { teachers, tokens } = inspection;
  const legend = teachers.map((name, i) => html`<span style="background:${colourOf(i)}99">${name}</span>`);
  return html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" /><title>What the teachers say</title>
      <style>
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
      </style>
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
    </html> `.toString();
}
