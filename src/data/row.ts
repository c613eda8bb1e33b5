/** @file What every reader yields, and how a value in it is found. */

/** A row of a file, counted from 0: its values, or why it has none. */
export type Row =
  | { readonly row: number; readonly values: Readonly<Record<string, unknown>>; readonly error?: undefined }
  | {
      readonly row: number;
      readonly error: string;
      /** Rows that it is about, from this one on; none: this one. */
      readonly rows?: number;
    };

export interface RowOptions {
  /** Most bytes of a row; none: `defaultRowBytes`. */
  readonly maxRowBytes?: number | undefined;
  /** Ends the reading, also in the middle of a row. */
  readonly signal?: AbortSignal | undefined;
}

/** Some whole books are one row; more than this is a mistake, or an attack. */
export const defaultRowBytes = 128 * 2 ** 20;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** Follows the steps of a path; a list is followed in each of its elements, but for a step that is a number. */
export function getPath(value: unknown, [step, ...rest]: readonly string[]): unknown {
  if (step === undefined) return value;
  if (isList(value) && !/^\d+$/.test(step)) return value.map((element) => getPath(element, [step, ...rest]));
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
  return getPath((value as Record<string, unknown>)[step], rest);
}

/** The value of a column, by its name or by a path such as `meta.source` or `messages.0.content`. */
export const getValue = (values: Readonly<Record<string, unknown>>, column: string): unknown =>
  Object.hasOwn(values, column) ? values[column] : getPath(values, column.split("."));

/** The columns that there are, by path, for a message. */
export function formatColumns(columns: readonly string[], most = 30): string {
  const more = columns.length - most;
  return columns.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** The paths of an object's values. */
export function listPaths(values: Readonly<Record<string, unknown>>, above = ""): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const inside =
      typeof value === "object" && value !== null && !isList(value) && above.split(".").length < 4;
    return inside ? listPaths(value as Record<string, unknown>, `${above}${key}.`) : [above + key];
  });
}
