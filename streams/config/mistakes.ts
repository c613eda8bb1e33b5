/** @file What is wrong with settings, each mistake in one line that says what was expected. */
import { z } from "zod";
import { Alphabet, Levenshtein } from "../../src/fusion/edit-distance.ts";
import { type Path, isTree, valueAt } from "./layers.ts";
import { renamed } from "./renamed.ts";

export interface Mistake {
  readonly path: Path;
  readonly problem: string;
  /** The setting that was probably meant. */
  readonly meant?: string;
}

type Issue = z.core.$ZodIssue;

/** The candidate that a word was probably meant to be: within a third of its length. */
function findNearest(word: string, candidates: readonly string[]): string | undefined {
  const alphabet = new Alphabet();
  const words = alphabet.intern([word, ...candidates].map((one) => one.toLowerCase()));
  const levenshtein = new Levenshtein(alphabet);
  levenshtein.setPattern(words, 0);
  const distances = candidates.map((_, i) => levenshtein.distance(words, i + 1));
  const min = Math.min(...distances);
  return min <= Math.max(1, Math.ceil(word.length / 3)) ? candidates[distances.indexOf(min)] : undefined;
}

const didYouMean = (meant: string | undefined) => (meant === undefined ? "" : `; did you mean ${meant}?`);

/** A schema without what makes it optional; of a union, the member with settings that fits what is given. */
function unwrap(schema: unknown, given: unknown): unknown {
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const options = schema.options as readonly z.ZodObject[];
    const kind = valueAt(given, [schema.def.discriminator]);
    return options.find(({ shape }) => shape[schema.def.discriminator].safeParse(kind).success) ?? options[0];
  }
  if (schema instanceof z.ZodUnion)
    return schema.options.map((option) => unwrap(option, given)).find((one) => one instanceof z.ZodObject);
  const wraps =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable;
  return wraps ? unwrap(schema.unwrap(), given) : schema;
}

/** The settings that a schema has at a path. */
function shapeAt(schema: unknown, [step, ...rest]: Path, given: unknown): Readonly<Record<string, unknown>> {
  const bare = unwrap(schema, given);
  const inner = step === undefined ? undefined : valueAt(given, [step]);
  if (bare instanceof z.ZodArray) return shapeAt(bare.element, rest, inner);
  if (!(bare instanceof z.ZodObject)) return {};
  return step === undefined ? bare.shape : shapeAt(bare.shape[step as string], rest, inner);
}

/** The dotted path of every setting. */
function listPaths(schema: unknown, given: unknown, prefix = ""): string[] {
  const bare = unwrap(schema, given);
  if (!(bare instanceof z.ZodObject)) return [];
  return Object.entries(bare.shape).flatMap(([key, inner]) => [
    prefix + key,
    ...listPaths(inner, valueAt(given, [key]), `${prefix}${key}.`),
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

/** The words that a setting may have. */
function listChoices(issue: Issue): string[] {
  if (issue.code === "invalid_value") return issue.values.map(String);
  const isKind = issue.code === "invalid_union" && issue.inclusive !== false;
  return isKind ? (issue.options ?? []).map(String) : [];
}

function describeExpectation(issue: Issue): string {
  const choices = listChoices(issue);
  if (choices.length > 0) return choices.length > 1 ? `one of ${choices.join(", ")}` : choices[0];
  switch (issue.code) {
    case "invalid_type":
      return names[issue.expected] ?? issue.expected;
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
            .map(describeExpectation),
        ),
      ].join(" or ");
    default:
      return issue.message;
  }
}

/** Of settings that may be written in several forms, the issues with the form that was meant. */
function selectForm(issue: Issue, given: unknown): Issue[] {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
  const value = valueAt(given, issue.path);
  // A word is never wrong settings, nor are settings a wrong word.
  const isOfOtherType = ({ code, path }: Issue) =>
    path.length === 0 && (code === "invalid_type" || (code === "invalid_value" && isTree(value)));
  const form = issue.errors.find((issues) => !issues.some(isOfOtherType));
  if (!form) return [issue];
  return form.flatMap((one) => selectForm({ ...one, path: [...issue.path, ...one.path] }, given));
}

const join = (path: Path) => path.map(String).join(".");

function describeUnknownKey(schema: unknown, path: Path, key: string, given: unknown): Mistake {
  const now = renamed[join([...path, key])];
  if (now !== undefined) return { path: [...path, key], problem: `is now ${now}` };
  const near = findNearest(key, Object.keys(shapeAt(schema, path, given)));
  const elsewhere = listPaths(schema, given).find((one) => one.endsWith(`.${key}`));
  const meant = near === undefined ? elsewhere : join([...path, near]);
  const kind = valueAt(given, [...path, "kind"]);
  return {
    path: [...path, key],
    problem: `there is no such setting${typeof kind === "string" ? ` of ${kind}` : ""}${didYouMean(meant)}`,
    ...(meant !== undefined && { meant }),
  };
}

function describeIssue(schema: unknown, issue: Issue, given: unknown): Mistake[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => describeUnknownKey(schema, path, key, given));
  const value = valueAt(given, path);
  const now = typeof value === "string" ? renamed[`${join(path)}=${value}`] : undefined;
  if (now !== undefined) return [{ path, problem: `${value} is now ${now}` }];
  const expected = describeExpectation(issue);
  if (value === undefined) return [{ path, problem: `is missing; expected ${expected}` }];
  const near = typeof value === "string" ? findNearest(value, listChoices(issue)) : undefined;
  const got = isTree(value) ? "settings" : show(value);
  return [{ path, problem: `expected ${expected}, got ${got}${didYouMean(near)}` }];
}

/** All mistakes in settings. A setting that is missing because its name was misspelt counts once. */
export function findMistakes(schema: unknown, issues: readonly Issue[], given: unknown): Mistake[] {
  const all = issues
    .flatMap((issue) => selectForm(issue, given))
    .flatMap((issue) => describeIssue(schema, issue, given));
  const meant = new Set(all.map((mistake) => mistake.meant));
  return all.filter(({ path, problem }) => !(problem.startsWith("is missing") && meant.has(join(path))));
}
