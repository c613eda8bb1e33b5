/** @file Where rows begin and end in a stream of bytes, whatever they hold. */

type Bytes = AsyncIterable<Uint8Array>;

/** The bytes of a row; undefined where there are more than allowed. */
export type Raw = Uint8Array | undefined;

const code = (character: string) => character.charCodeAt(0);
const [newline, quote, backslash, comma] = ["\n", '"', "\\", ","].map(code);
const [open, close, openObject, closeObject] = ["[", "]", "{", "}"].map(code);
const blank = new Set([" ", "\t", "\r", "\n"].map(code));
/** Of a byte order mark in UTF-8. */
const mark = new Set([0xef, 0xbb, 0xbf]);

/** Puts the bytes of a row together, and lets them go where they become too many. */
class Collector {
  #parts: Uint8Array[] = [];
  readonly #most: number;
  length = 0;

  constructor(most: number) {
    this.#most = most;
  }

  add(bytes: Uint8Array): void {
    this.length += bytes.length;
    if (this.length > this.#most) this.#parts = [];
    else if (bytes.length) this.#parts.push(bytes);
  }

  take(): Raw {
    const one = this.#parts.length === 1 ? this.#parts[0] : undefined;
    const all = this.length > this.#most ? undefined : (one ?? Buffer.concat(this.#parts));
    this.#parts = [];
    this.length = 0;
    return all;
  }
}

/** Lines with their ends, as many at a time as there are. @param most bytes of a line. */
export async function* lines(bytes: Bytes, most: number): AsyncGenerator<Raw[]> {
  const line = new Collector(most);
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
 * The elements of a JSON array, each as it stands there, as many at a time as there are.
 * @param most bytes of an element.
 * @throws where the array breaks off, or something is behind it.
 */
export async function* elements(bytes: Bytes, most: number): AsyncGenerator<Raw[]> {
  const element = new Collector(most);
  let place = "before" as "before" | "in" | "behind";
  let [depth, inString, escaped, more] = [0, false, false, false];
  for await (const chunk of bytes) {
    const found: Raw[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (place === "before") {
        if (byte === open) [place, start] = ["in", i + 1];
      } else if (place === "behind") {
        more ||= !blank.has(byte);
      } else if (byte === quote) inString = true;
      else if (byte === open || byte === openObject) depth++;
      else if (depth > 0) depth -= byte === close || byte === closeObject ? 1 : 0;
      else if (byte === comma || byte === close) {
        element.add(chunk.subarray(start, i));
        start = i + 1;
        if (byte === close) place = "behind";
        found.push(element.take());
      }
    }
    if (place === "in") element.add(chunk.subarray(start));
    if (found.length) yield found;
    if (more) throw new Error("there is something behind the end of the array");
  }
  if (place === "behind") return;
  if (element.length && depth === 0 && !inString) yield [element.take()];
  throw new Error("the array breaks off");
}

/** The elements of an array, or the lines, as the first character says. */
export async function* elementsOrLines(
  bytes: AsyncGenerator<Uint8Array>,
  most: number,
): AsyncGenerator<Raw[]> {
  const seen: Uint8Array[] = [];
  let first: number | undefined;
  while (first === undefined) {
    const { done, value } = await bytes.next();
    if (done) break;
    seen.push(value);
    first = value.find((byte) => !blank.has(byte) && !mark.has(byte));
  }
  async function* all() {
    yield* seen;
    yield* bytes;
  }
  yield* first === open ? elements(all(), most) : lines(all(), most);
}
