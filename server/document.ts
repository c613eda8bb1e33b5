/** @file docs/http.md: what each field of a request may be, out of the table that requests are checked with. */
import { z } from "zod";
import { code, markdownTable } from "../src/docs/markdown.ts";
import type { Field, Fields } from "./field.ts";
import { chatFields, completionFields, messageFields, partFields, sharedFields } from "./fields.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A schema in a few words. */
function valuesOf(schema: JsonSchema): string {
  const { type, minimum, maximum, exclusiveMinimum, anyOf, items } = schema;
  if (schema.enum) return [...schema.enum.map(code), "`null`"].join(", ");
  if (schema.const !== undefined) return code(schema.const);
  if (anyOf) return anyOf.map((one) => valuesOf(one as JsonSchema)).join(" or ");
  if (type === "array") return `list of ${valuesOf(items as JsonSchema)}`;
  if (type !== "number" && type !== "integer") return String(type ?? "any");
  const bounds = [
    exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER && `from ${minimum}`,
    maximum !== undefined && maximum < 2 ** 31 - 1 && `to ${maximum}`,
  ];
  return [type, ...bounds.filter((bound) => bound !== false)].join(" ");
}

function section(title: string, fields: Fields): string {
  const row = ([name, { schema, support, description }]: [string, Field]) => [
    `\`${name}\``,
    support,
    valuesOf(z.toJSONSchema(schema, { io: "input" })),
    description,
  ];
  return `## ${title}\n\n${markdownTable([["field", "", "values", "what it is"], ...Object.entries(fields).map(row)])}\n`;
}

export const document = (): string =>
  [
    `# Fields of requests

Written by \`bun run docs\`; do not edit. Of each field, this says whether it is supported, ignored because no value of
it could change the answer, or not supported, and accepted only at values that change nothing. Every field may be
\`null\`, which is the same as leaving it out: then the model's own generation_config.json decides on sampling. Any
other field or value is refused by name, with status 400 and the code \`unsupported_field\` or \`invalid_value\`.
\`GET /openapi.json\` says the same for programs.

Bodies are JSON; \`Content-Encoding\` may be gzip, deflate, br or zstd.
`,
    section("/v1/completions and /v1/chat/completions", sharedFields),
    section("/v1/completions, besides `prompt`", completionFields),
    section("/v1/chat/completions, besides `messages`", chatFields),
    section("Messages, besides `role` and `content`", messageFields),
    section("Parts of a message's content, besides `type` and `text`", partFields),
  ].join("\n");
