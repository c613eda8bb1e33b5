/** @file Splits a stream of bytes into rows without parsing them. */

type Bytes = AsyncIterable<Uint8Array>;

/** The bytes of a row; undefined if there are too many. */
export type Raw = Uint8Array | undefined;

const code = (character: string) => character.charCodeAt(0);
const [newline, quote, backslash, comma] = ["\n", '"', "\\", ","].map(code);
const [open, close, openObject, closeObject] = ["[", "]", "{", "}"].map(code);
const whitespace = new Set([" ", "\t", "\r", "\n"].map(code));
/** The bytes of a UTF-8 byte order mark. */
const byteOrderMark = new Set([0xef, 0xbb, 0xbf]);

/** Collects the bytes of a row, and drops them once there are too many. */
class Collector {
  #parts: Uint8Array[] = [];
  readonly #maxBytes: number;
  length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(bytes: Uint8Array): void {
    this.length += bytes.length;
    if (this.length > this.#maxBytes) this.#parts = [];
    else if (bytes.length) this.#parts.push(bytes);
  }

  take(): Raw {
    const only = this.#parts.length === 1 ? this.#parts[0] : undefined;
    const all = this.length > this.#maxBytes ? undefined : (only ?? Buffer.concat(this.#parts));
    this.#parts = [];
    this.length = 0;
    return all;
  }
}

/** Yields lines with their line ends, in batches of those that end in the same chunk. @param maxBytes of a line */
export async function* splitLines(bytes: Bytes, maxBytes: number): AsyncGenerator<Raw[]> {
  const line = new Collector(maxBytes);
  for await (const chunk of bytes) {
    const found: Raw[] = [];
    let start = 0;
    for (let end; (end = chunk.indexOf(newline, start) + 1) > 0; start = end) {
      line.add(chunk.subarray(start, end));
      found.push(line.take());
    }
    line.add(chunk.subarray(start));
    if (found.length) yield found;
  }
  if (line.length) yield [line.take()];
}

/**
 * Yields the elements of a JSON array as written, in batches of those that end in the same chunk.
 * @param maxBytes of an element
 * @throws if the array is truncated, or followed by other data.
 */
export async function* splitElements(bytes: Bytes, maxBytes: number): AsyncGenerator<Raw[]> {
  const element = new Collector(maxBytes);
  let state = "before" as "before" | "inside" | "after";
  let [depth, inString, escaped, trailing] = [0, false, false, false];
  for await (const chunk of bytes) {
    const found: Raw[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (state === "before") {
        if (byte === open) [state, start] = ["inside", i + 1];
      } else if (state === "after") {
        trailing ||= !whitespace.has(byte);
      } else if (byte === quote) inString = true;
      else if (byte === open || byte === openObject) depth++;
      else if (depth > 0) depth -= byte === close || byte === closeObject ? 1 : 0;
      else if (byte === comma || byte === close) {
        element.add(chunk.subarray(start, i));
        start = i + 1;
        if (byte === close) state = "after";
        found.push(element.take());
      }
    }
    if (state === "inside") element.add(chunk.subarray(start));
    if (found.length) yield found;
    if (trailing) throw new Error("unexpected data after the end of the array");
  }
  if (state === "after") return;
  if (element.length && depth === 0 && !inString) yield [element.take()];
  throw new Error("unexpected end of the array");
}

/** Yields the elements of an array if the first character opens one, else lines. */
export async function* splitElementsOrLines(
  bytes: AsyncGenerator<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Raw[]> {
  const seen: Uint8Array[] = [];
  let first: number | undefined;
  while (first === undefined) {
    const { done, value } = await bytes.next();
    if (done) break;
    seen.push(value);
    first = value.find((byte) => !whitespace.has(byte) && !byteOrderMark.has(byte));
  }
  async function* all() {
    yield* seen;
    yield* bytes;
  }
  yield* first === open ? splitElements(all(), maxBytes) : splitLines(all(), maxBytes);
}
