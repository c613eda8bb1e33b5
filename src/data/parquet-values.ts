/** @file How bytes in a parquet file become text, and what is in their place where they are none. */

/** Stands for a value that is not what its column says. */
export class Undecodable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function stringFromBytes(bytes: Uint8Array): unknown {
  try {
    // The default drops a leading U+FEFF, which is part of the text, and mends what is not UTF-8.
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

/** For hyparquet: one bad value does not cost its page. */
export const parsers = { stringFromBytes, jsonFromBytes };
