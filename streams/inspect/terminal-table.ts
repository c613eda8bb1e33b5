/** @file An inspection as a table in the terminal. */
import type { Candidate, Inspection, TokenView } from "./inspect.ts";

const signs: Readonly<Record<string, string>> = { " ": "·", "\n": "⏎", "\t": "⇥", "\x7f": "␡" };

/** Shows blanks, invisible characters and those that a terminal would obey as printable signs. */
export const toVisible = (token: string) =>
  token.replace(
    // oxlint-disable-next-line no-control-regex
    /[\x00-\x20\x7f]/g,
    (character) => signs[character] ?? String.fromCharCode(0x2400 + character.charCodeAt(0)),
  );

export const percent = (probability: number) => `${Math.round(probability * 100)}`;
export const listCandidates = (candidates: readonly Candidate[]) =>
  candidates.map(({ token, probability }) => `${toVisible(token)} ${percent(probability)}`).join("  ");

/** Where the probability of no candidate goes, in one word and in a clause. */
export const rests = {
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
export const findWinner = ({ teachers }: TokenView) =>
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
