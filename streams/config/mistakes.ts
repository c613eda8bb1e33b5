/** @file What is wrong with settings, each mistake in a sentence that tells what would be right. */
import { z } from "zod";
import { Alphabet, Levenshtein } from "../../src/fusion/edit-distance.ts";
import { type Path, isTree, valueAt } from "./layers.ts";

export interface Mistake {
  readonly path: Path;
  readonly problem: string;
  /** The setting that was probably meant. */
  readonly meant?: string;
}

type Issue = z.core.$ZodIssue;

/** The candidate that a word was probably meant to be, if there is one that is near. */
function nearest(word: string, candidates: readonly string[]): string | undefined {
  const alphabet = new Alphabet();
  const words = alphabet.intern([word, ...candidates].map((one) => one.toLowerCase()));
  const levenshtein = new Levenshtein(alphabet);
  levenshtein.setPattern(words, 0);
  const distances = candidates.map((_, i) => levenshtein.distance(words, i + 1));
  const least = Math.min(...distances);
  return least <= Math.max(1, Math.ceil(word.length / 3)) ? candidates[distances.indexOf(least)] : undefined;
}

const didYouMean = (meant: string | undefined) => (meant === undefined ? "" : `; did you mean ${meant}?`);

/** The schema without what makes it optional; of several, the one that has settings. */
function bare(schema: unknown): unknown {
  if (schema instanceof z.ZodUnion) return schema.options.map(bare).find((one) => one instanceof z.ZodObject);
  const wraps =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable;
  return wraps ? bare(schema.unwrap()) : schema;
}

/** The settings that a schema has at a path. */
function shapeAt(schema: unknown, [step, ...rest]: Path): Readonly<Record<string, unknown>> {
  const here = bare(schema);
  if (here instanceof z.ZodArray) return shapeAt(here.element, rest);
  if (!(here instanceof z.ZodObject)) return {};
  return step === undefined ? here.shape : shapeAt(here.shape[step as string], rest);
}

/** The path of every setting, with points. */
function pathsOf(schema: unknown, above = ""): string[] {
  const here = bare(schema);
  if (!(here instanceof z.ZodObject)) return [];
  return Object.entries(here.shape).flatMap(([key, inner]) => [
    above + key,
    ...pathsOf(inner, `${above}${key}.`),
  ]);
}

const names: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "settings (key: value)",
  record: "settings (key: value)",
};

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return names[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.length > 1 ? `one of ${issue.values.join(", ")}` : `${issue.values}`;
    case "too_small":
      if (issue.origin === "array") return `a list of ${issue.minimum} or more`;
      return `a number ${issue.inclusive ? "of at least" : "above"} ${issue.minimum}`;
    case "too_big":
      return `a number ${issue.inclusive ? "of at most" : "below"} ${issue.maximum}`;
    case "invalid_union":
      return [
        ...new Set(
          issue.errors
            .flat()
            .filter(({ path }) => !path.length)
            .map(expectation),
        ),
      ].join(" or ");
    default:
      return issue.message;
  }
}

/** Of settings that may have several forms, the mistakes in the form that was meant. */
function inForm(issue: Issue): Issue[] {
  if (issue.code !== "invalid_union") return [issue];
  const isOfForm = (branch: readonly Issue[]) =>
    !branch.some(({ code, path }) => path.length === 0 && code === "invalid_type");
  const branch = issue.errors.find(isOfForm);
  return branch ? branch.flatMap((one) => inForm({ ...one, path: [...issue.path, ...one.path] })) : [issue];
}

function mistakesOf(schema: unknown, issue: Issue, given: unknown): Mistake[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys") {
    const siblings = Object.keys(shapeAt(schema, path));
    const above = path.map((step) => `${String(step)}.`).join("");
    return issue.keys.map((key) => {
      const near = nearest(key, siblings);
      const elsewhere = pathsOf(schema).find((one) => one.endsWith(`.${key}`));
      const meant = near === undefined ? elsewhere : above + near;
      return {
        path: [...path, key],
        problem: `there is no such setting${didYouMean(meant)}`,
        ...(meant !== undefined && { meant }),
      };
    });
  }
  const value = valueAt(given, path);
  const expected = expectation(issue);
  if (value === undefined) return [{ path, problem: `is missing; expected ${expected}` }];
  const near =
    issue.code === "invalid_value" && typeof value === "string"
      ? nearest(value, issue.values.map(String))
      : undefined;
  const got = isTree(value) ? "settings" : show(value);
  return [{ path, problem: `expected ${expected}, got ${got}${didYouMean(near)}` }];
}

/** All mistakes of settings; that one is missing which was misspelt is no mistake of its own. */
export function findMistakes(schema: unknown, issues: readonly Issue[], given: unknown): Mistake[] {
  const all = issues.flatMap(inForm).flatMap((issue) => mistakesOf(schema, issue, given));
  const meant = new Set(all.map((mistake) => mistake.meant));
  return all.filter(
    ({ path, problem }) => !(problem.startsWith("is missing") && meant.has(path.map(String).join("."))),
  );
}
