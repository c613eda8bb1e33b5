/** @file JSON that only passes through: what is written again has the numbers as they were written. */

/** In JavaScript 1.0 is 1 and 12345678901234567890 is 12345678901234567000; in Python both are other values. */
const asWritten = (_key: string, value: unknown, { source }: { source?: string }) =>
  typeof value === "number" ? rawNumber(source!) : value;

/** A number that is written as this text. */
export const rawNumber = (text: string): unknown =>
  (JSON as never as { rawJSON(text: string): unknown }).rawJSON(text);

/** Parses JSON of which each number stays the text that it is; `formatJson` writes it again. */
export const parseAsWritten = (text: string): unknown =>
  JSON.parse(text, asWritten as unknown as (key: string, value: unknown) => unknown);

/** JSON as Python's tools lay it out. */
export const formatJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
