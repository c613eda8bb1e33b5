/** @file What every reader yields. */

/** A row of a file, counted from 0: its values, or why it has none. */
export type Row =
  | { readonly row: number; readonly values: Readonly<Record<string, unknown>>; readonly error?: undefined }
  | { readonly row: number; readonly error: string };
