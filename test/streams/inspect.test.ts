/** An inspection shows the teachers' own predictions, and nothing added to them. */
import { beforeAll, expect, test } from "bun:test";
import { readConfig } from "../../streams/config/config-file.ts";
import { page } from "../../streams/inspect/page.ts";
import { terminalTable } from "../../streams/inspect/terminal-table.ts";
import { type Inspection, inspect } from "../../streams/inspect/inspect.ts";
import { demo } from "./small-run.ts";

const text = "And God said, Let there be light: and there was light.";
const found = (...settings: string[]) => inspect(readConfig(demo, settings), text, 100);

let byText: Inspection;
beforeAll(async () => void (byText = await found()), 60_000);

test("each teacher's candidates and the rest sum to 1", () => {
  expect(byText.tokens.length).toBeGreaterThan(10);
  for (const { teachers } of byText.tokens)
    for (const { candidates, rest } of teachers) {
      const sum = candidates.reduce((all, { probability }) => all + probability, 0);
      expect(candidates.length > 0).toBe(rest !== undefined && rest < 1);
      if (rest !== undefined) expect(sum + rest).toBeCloseTo(1, 4);
    }
});

test("a teacher's own predictions do not depend on the tail, the temperature or the fusion rule", async () => {
  const listCandidates = ({ tokens }: Inspection) =>
    tokens.map(({ teachers }) => teachers.map(({ candidates }) => candidates));
  const others = await found("fusion.tail=renormalize", "fusion.temperature=2", "fusion.method=avgCE");
  expect(listCandidates(others)).toEqual(listCandidates(byText));
  expect(others.tokens[3].fused).not.toEqual(byText.tokens[3].fused);
});

test("where a fallback applies, the teacher has no candidates", async () => {
  const unlike = "Circumnavigators harpooned Zebulun's leviathans";
  const { tokens } = await inspect(readConfig(demo, ["recipe=fusellm"]), unlike, 100);
  const unaligned = tokens.flatMap(({ teachers }) => teachers).filter(({ rest }) => rest === undefined);
  expect(unaligned.length).toBeGreaterThan(0);
  for (const { candidates } of unaligned) expect(candidates).toEqual([]);
});

test("no percentage exceeds 100, in the terminal and on the page, and the text's share has its own name", () => {
  const table = terminalTable(byText, 200);
  const html = page(byText);
  const numbers = [
    ...`${table}\n${html.replace(/<style>.*?<\/style>|#\w+|[\d.]+%/gs, "")}`.matchAll(/ (\d+)(?= |\n|<)/g),
  ];
  expect(numbers.length).toBeGreaterThan(200);
  for (const [, number] of numbers) expect(Number(number)).toBeLessThanOrEqual(100);
  // The token is not a candidate of the second teacher, so the text gets the rest.
  const [, line] = table.split("\n");
  expect(line).toMatch(/^·God .*·the 5 .* text 71 /);
  expect(html).toMatch(/<em>left to the text<\/em> 71\s*<\/div>/);
  for (const row of table.split("\n")) expect(Bun.stringWidth(row)).toBeLessThanOrEqual(200);
});

test("a token cannot send control codes to the terminal", () => {
  const view = { teachers: [], fused: [{ token: "\x1b[2J\r", probability: 1 }], truth: 1, token: "\x07" };
  const shown = terminalTable({ teachers: [], tail: "text", tokens: [view] }, 80);
  expect(shown).toContain("␇");
  expect(shown).toContain("␛[2J␍ 100");
});
