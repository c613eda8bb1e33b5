/** @file The rows that every reader yields, and columns by path. */

/** A row of a file, numbered from 0: its values, or the reason why it cannot be read. */
export type Row =
  | { readonly row: number; readonly values: Readonly<Record<string, unknown>>; readonly error?: undefined }
  | {
      readonly row: number;
      readonly error: string;
      /** The number of unreadable rows from this one on; 1 by default */
      readonly rows?: number;
    };

export interface RowOptions {
  /** Max bytes of a row; `defaultRowBytes` by default */
  readonly maxRowBytes?: number | undefined;
  /** Stops reading, even in the middle of a row. */
  readonly signal?: AbortSignal | undefined;
}

/** Some datasets have a whole book per row; anything larger is a mistake or an attack. */
export const defaultRowBytes = 128 * 2 ** 20;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** Gets the value at a path; a step that is no number is taken in every element of a list. */
export function getPath(value: unknown, [step, ...rest]: readonly string[]): unknown {
  if (step === undefined) return value;
  if (isList(value) && !/^\d+$/.test(step)) return value.map((element) => getPath(element, [step, ...rest]));
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
  return getPath((value as Record<string, unknown>)[step], rest);
}

/** Gets a column by name, or by path such as `meta.source` or `messages.0.content`. */
export const getValue = (values: Readonly<Record<string, unknown>>, column: string): unknown =>
  Object.hasOwn(values, column) ? values[column] : getPath(values, column.split("."));

/** How many columns an error lists. */
const maxListed = 30;

/** The error for a missing column, which lists those of the file. */
export function missingColumn(column: string, columns: readonly string[]): Error {
  const more = columns.length - maxListed;
  const listed = columns.slice(0, maxListed).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return new Error(`it has no column "${column}"; its columns: ${listed}`);
}

/** Lists the paths of an object's values. */
export function listPaths(values: Readonly<Record<string, unknown>>, prefix = ""): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const nested =
      typeof value === "object" && value !== null && !isList(value) && prefix.split(".").length < 4;
    return nested ? listPaths(value as Record<string, unknown>, `${prefix}${key}.`) : [prefix + key];
  });
}
