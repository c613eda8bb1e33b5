/** @file docs/configuration.md: every setting with its values, default and meaning, out of the schema itself. */
import { z } from "zod";
import { code, markdownTable } from "../../src/docs/markdown.ts";
import { describeNumber } from "../../src/docs/numbers.ts";
import { Config } from "./config.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** What a setting may be: the schema itself, or the alternatives of a union. */
const alternatives = (schema: JsonSchema): JsonSchema[] =>
  (schema.anyOf ?? schema.oneOf)?.flatMap((one) => alternatives(one as JsonSchema)) ?? [schema];

/** Groups of settings that a setting may be, or be a list of. */
const groups = (schema: JsonSchema): JsonSchema[] =>
  alternatives(schema).flatMap((one) => {
    if (one.type === "array") return groups(one.items as JsonSchema);
    return one.type === "object" && one.properties ? [one] : [];
  });

const findKind = ({ properties }: JsonSchema) => (properties?.kind as JsonSchema | undefined)?.const;

/** The values of a setting in words. */
function describeValues(schema: JsonSchema): string {
  const words = alternatives(schema).map((one) => {
    if (one.enum) return one.enum.map((value) => `\`${value}\``).join(", ");
    if (one.const !== undefined) return `\`${one.const}\``;
    if (one.type === "array") return `list of ${describeValues(one.items as JsonSchema)}`;
    if (one.type === "object") return findKind(one) === undefined ? "settings" : "settings with a `kind`";
    return one.type === "number" || one.type === "integer" ? describeNumber(one) : (one.type ?? "any");
  });
  return [...new Set(words)].join(", or ");
}

function describeDefault(schema: JsonSchema, required: boolean): string {
  if (required) return "required";
  const value = schema.default;
  const isGroup = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  if (value === undefined || (isGroup && !Array.isArray(value))) return "";
  return code(value);
}

/** The settings of a group, one a row; its kind is in the title. None, if there are no others. */
function settingsTable({ properties = {}, required = [] }: JsonSchema): string | undefined {
  const settings = Object.entries(properties as Record<string, JsonSchema>).filter(
    ([name]) => name !== "kind",
  );
  if (settings.length === 0) return undefined;
  const rows = settings.map(([name, schema]) => [
    `\`${name}\``,
    describeValues(schema),
    describeDefault(schema, required.includes(name)),
    schema.description ?? "",
  ]);
  return markdownTable([["setting", "values", "default", "meaning"], ...rows]);
}

/** Sections by their content, so that a group that several settings share is described once, under all names. */
function collectSections(path: string, schema: JsonSchema, sections: Map<string, string[]>): void {
  for (const [name, inner] of Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>))
    for (const group of groups(inner)) {
      const kind = findKind(group);
      const at = `${path}${name}`;
      const table = settingsTable(group);
      const title = kind === undefined ? `\`${at}\`` : `\`${at}: { kind: ${kind} }\``;
      if (table !== undefined) sections.set(table, [...(sections.get(table) ?? []), title]);
      collectSections(`${at}.`, group, sections);
    }
}

/** The page. */
export function configurationPage(): string {
  const schema = z.toJSONSchema(Config, { io: "input" });
  const sections = new Map<string, string[]>();
  collectSections("", schema, sections);
  const parts = Array.from(sections, ([table, titles]) => `## ${titles.join(", ")}\n\n${table}\n`);
  return [
    `# Configuration

Written by \`bun run docs\`; do not edit. Every setting of a run, its values, its default and its meaning, as
[streams/config/config.ts](../streams/config/config.ts) has them. Settings without a default may be left out, unless
they are required. A key that is not listed is an error.

A file is YAML; \`--set path=value\` sets one over it, as in \`--set train.steps=2000\`. Relative paths in a file are
relative to the file, in \`--set\` to the working directory.

${settingsTable(schema)}
`,
    ...parts,
  ].join("\n");
}
