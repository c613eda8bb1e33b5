/** @file JSON that passes through unchanged: numbers are written exactly as they were read. */

/** JavaScript turns 1.0 into 1 and 12345678901234567890 into 12345678901234567000; in Python those differ. */
const asWritten = (_key: string, value: unknown, { source }: { source?: string }) =>
  typeof value === "number" ? rawNumber(source!) : value;

/** A number that `formatJson` writes as this text. */
export const rawNumber = (text: string): unknown =>
  (JSON as never as { rawJSON(text: string): unknown }).rawJSON(text);

/** Parses JSON, keeping the text of each number for `formatJson`. */
export const parseAsWritten = (text: string): unknown =>
  JSON.parse(text, asWritten as unknown as (key: string, value: unknown) => unknown);

/** JSON indented as by Python's tools. */
export const formatJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
