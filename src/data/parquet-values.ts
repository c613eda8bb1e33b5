/** @file Decodes strings and JSON in parquet files, with a placeholder for values that are neither. */

/** The placeholder for a value that does not match its column's type. */
export class Undecodable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function stringFromBytes(bytes: Uint8Array): unknown {
  try {
    // hyparquet's default drops a leading U+FEFF, which is part of the text, and replaces invalid UTF-8.
    return bytes && strict.decode(bytes);
  } catch {
    return new Undecodable("not UTF-8");
  }
}

function jsonFromBytes(bytes: Uint8Array): unknown {
  const text = stringFromBytes(bytes);
  try {
    return typeof text === "string" ? JSON.parse(text) : text;
  } catch {
    return new Undecodable("not JSON");
  }
}

/** Parsers for hyparquet, with which one bad value does not lose its page. */
export const parsers = { stringFromBytes, jsonFromBytes };
