/** @file What an inspection found, for a terminal and as a page. */
import { escape } from "./html.ts";
import type { Candidate, Inspection, TokenView } from "./inspect.ts";

const signs: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "⇥", "\x7f": "␡" };

/** Characters that cannot be seen, or that a terminal would obey, and blanks, as something that can. */
const visible = (token: string) =>
  token.replace(
    // oxlint-disable-next-line no-control-regex
    /[\x00-\x20\x7f]/g,
    (character) => signs[character] ?? String.fromCharCode(0x2400 + character.charCodeAt(0)),
  );

const percent = (probability: number) => `${Math.round(probability * 100)}`;
const list = (candidates: readonly Candidate[]) =>
  candidates.map(({ token, probability }) => `${visible(token)} ${percent(probability)}`).join("  ");

/** What becomes of the probability that no candidate has, in a word and in a sentence's part. */
const rests = {
  text: ["text", "left to the text"],
  keep: ["rest", "of no candidate"],
  renormalize: ["rest", "of no candidate"],
} as const;

const cut = (text: string, size: number) => {
  const width = Bun.stringWidth(text);
  if (width <= size) return text + " ".repeat(size - width);
  return `${Bun.sliceAnsi(text, 0, Math.max(0, size - 1))}…`;
};

/** The teacher with the largest part; −1 where all are silent. */
const winnerOf = ({ teachers }: TokenView) =>
  teachers.reduce((best, { share }, i) => (share > (teachers[best]?.share ?? 0) ? i : best), -1);

/**
 * A table as wide as the terminal: probabilities in percent, what no candidate has at the end, a star before
 * the teacher with the largest part.
 */
export function terminalTable({ teachers, tail, tokens }: Inspection, width: number): string {
  const names = ["next token", ...teachers, "fused"];
  const first = 16;
  const each = Math.max(14, Math.floor((width - first) / (names.length - 1)) - 1);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cut(cell, i === 0 ? first : each))
      .join(" ")
      .trimEnd();
  const rows = tokens.map((view) => {
    const winner = winnerOf(view);
    const said = view.teachers.map(({ candidates, rest }, i) => {
      const star = i === winner ? "*" : " ";
      if (rest === undefined) return `${star}–`;
      const end = ` ${rests[tail][0]} ${percent(rest)}`;
      return star + cut(list(candidates), each - 1 - end.length) + end;
    });
    return line([visible(view.token), ...said, list(view.fused)]);
  });
  return [line(names), ...rows].join("\n");
}

/** Colours of the teachers, told apart by people who see few colours too (Okabe & Ito, 2008). */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442"];

/** A page that needs nothing else: the text in its teachers' colours, and a row for each token. */
export function page({ teachers, tail, tokens }: Inspection): string {
  const [, leftTo] = rests[tail];
  const colour = (i: number) => (i < 0 ? "#999" : colours[i % colours.length]);
  const alpha = (share: number) =>
    Math.round(40 + 160 * share)
      .toString(16)
      .padStart(2, "0");
  const text = tokens.map((view) => {
    const winner = winnerOf(view);
    const share = view.teachers[winner]?.share ?? 0;
    const title = [
      ...view.teachers.map(
        ({ candidates, rest, share }, i) =>
          `${teachers[i]} (${percent(share)} % of what is fused): ` +
          (rest === undefined ? "silent" : `${list(candidates)}  ${leftTo} ${percent(rest)}`.trim()),
      ),
      `fused: ${list(view.fused)}`,
    ].join("\n");
    return `<span title="${escape(title)}" style="background:${colour(winner)}${alpha(share)}">${escape(visible(view.token))}</span>`;
  });
  const row = (name: string, probability: number) =>
    `<div class="c"><i style="width:${(probability * 100).toFixed(1)}%"></i>${name} ${percent(probability)}</div>`;
  const bar = ({ token, probability }: Candidate, of: string) =>
    row(`<b${token === of ? ' class="t"' : ""}>${escape(visible(token))}</b>`, probability);
  const rows = tokens.map((view) => {
    const cells = view.teachers.map(
      ({ candidates, rest, share }, i) =>
        `<td style="border-left:4px solid ${colour(i)}${share > 0 ? alpha(share) : "00"}">${rest === undefined ? "–" : candidates.map((c) => bar(c, view.token)).join("") + row(`<em>${leftTo}</em>`, rest)}</td>`,
    );
    return `<tr><th>${escape(visible(view.token))}<small>${percent(view.truth)} % of the target</small></th>${cells.join("")}<td>${view.fused.map((c) => bar(c, view.token)).join("")}</td></tr>`;
  });
  const legend = teachers.map((name, i) => `<span style="background:${colour(i)}99">${escape(name)}</span>`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>What the teachers say</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#222;background:#fff}
.text{font:1.1rem/2 ui-monospace,monospace;overflow-wrap:anywhere}.text span,.legend span{padding:.15rem .2rem;border-radius:3px}
.legend span{margin-right:.6rem;padding:.15rem .6rem}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
small{display:block;color:#777;font-weight:normal}.c{position:relative;font-size:.85rem}.c i{position:absolute;inset:1px auto 1px 0;background:#0001}.c .t{text-decoration:underline}</style>
<h1>What the teachers say</h1>
<p>Each token has the colour of the teacher with the largest part in what was fused there, the stronger the larger it is; grey is
the text alone. Numbers are percent: of each teacher, what it says itself, and what none of its candidates has; the true
token is underlined.</p>
<p class="legend">${legend.join("")}</p><p class="text">${text.join("")}</p>
<table><tr><th>next token</th>${teachers.map((name) => `<th>${escape(name)}</th>`).join("")}<th>fused</th></tr>
${rows.join("\n")}</table></html>
`;
}
