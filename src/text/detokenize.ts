/**
 * @file Ids to text, token by token. What a token adds depends on those before it alone, so a text is the same
 * whole and in pieces; a tokenizer's own decoder gives up all bytes of a run if only its last character is cut off.
 */
import type { Tokenizer } from "./tokenizer.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const wholeUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const encoder = new TextEncoder();
const none = new Uint8Array(0);

/** Bytes of the longest character of UTF-8. */
const characterBytes = 4;
const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;

function isWhole(bytes: Uint8Array): boolean {
  try {
    wholeUtf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Where the character begins that bytes end inside of; their length, if they end behind one. */
function unfinishedAt(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at >= 0 && bytes.length - at < characterBytes; at--) {
    if (isContinuation(bytes[at])) continue;
    const needed = bytes[at] >= 0xf0 ? 4 : bytes[at] >= 0xe0 ? 3 : bytes[at] >= 0xc0 ? 2 : 1;
    return bytes.length - at < needed ? at : bytes.length;
  }
  return bytes.length;
}

/** The texts of a tokenizer's tokens, each looked up once. */
export class Detokenizer {
  readonly #tokenizer: Pick<Tokenizer, "vocabulary" | "decode">;
  readonly #first = new Map<number, Uint8Array>();
  readonly #behind = new Map<number, Uint8Array>();
  /** A token of letters, to decode others behind it; -1 if there is none. */
  readonly #letters: number;
  #lettersText: string | undefined;

  constructor(tokenizer: Pick<Tokenizer, "vocabulary" | "decode">) {
    this.#tokenizer = tokenizer;
    const isLetter = (byte: number) => byte >= 0x61 && byte <= 0x7a;
    this.#letters = tokenizer.vocabulary.bytes.findIndex(
      (bytes) => bytes.length > 0 && bytes.every(isLetter),
    );
  }

  /** Whether a token stands for any text; special ones and ids without a token do not. */
  hasText(id: number): boolean {
    return (this.#tokenizer.vocabulary.bytes[id]?.length ?? 0) > 0;
  }

  /** UTF-8 that a token adds to a text: as its first one, of which SentencePiece leaves out a blank, or behind others. */
  async lookUpBytes(id: number, first: boolean): Promise<Uint8Array> {
    const known = first ? this.#first : this.#behind;
    let bytes = known.get(id);
    if (!bytes) known.set(id, (bytes = await this.#lookUp(id, first)));
    return bytes;
  }

  async #lookUp(id: number, first: boolean): Promise<Uint8Array> {
    const own = this.#tokenizer.vocabulary.bytes[id] ?? none;
    // Alone, a part of a character decodes to nothing that could be put together with the rest.
    if (own.length === 0 || !isWhole(own)) return own;
    if (first) return encoder.encode(await this.#tokenizer.decode([id]));
    if (this.#letters < 0) return own;
    const front = (this.#lettersText ??= await this.#tokenizer.decode([this.#letters]));
    const both = await this.#tokenizer.decode([this.#letters, id]);
    return both.startsWith(front) ? encoder.encode(both.slice(front.length)) : own;
  }

  /** The text of ids, without special tokens; bytes that are no characters are U+FFFD. */
  async decode(ids: Iterable<number>): Promise<string> {
    const stream = new DecodeStream(this);
    const texts: string[] = [];
    for (const id of ids) texts.push((await stream.step(id)).text);
    return texts.join("") + stream.end();
  }
}

/** Text of ids as they come: whole characters only, until the end. */
export class DecodeStream {
  readonly #detokenizer: Detokenizer;
  #started = false;
  /** Bytes of a character that has not ended. */
  #pending: Uint8Array = none;
  #length = 0;

  constructor(detokenizer: Detokenizer) {
    this.#detokenizer = detokenizer;
  }

  /** Text that is there, in UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** Goes on from ids whose text is not asked for; a character that they begin is. */
  async prime(ids: ArrayLike<number>): Promise<void> {
    const last: number[] = [];
    for (let i = ids.length - 1; i >= 0 && last.length < characterBytes; i--)
      if (this.#detokenizer.hasText(ids[i])) last.unshift(ids[i]);
    for (const id of last) await this.step(id);
    this.#length = 0;
  }

  /** Characters that end with this token, and the place in the text where it begins, or the character that it is in. */
  async step(id: number): Promise<{ text: string; offset: number }> {
    const bytes = await this.#detokenizer.lookUpBytes(id, !this.#started);
    const pending = this.#pending;
    let offset = this.#length;
    if (bytes.length && pending.length && !isContinuation(bytes[0])) offset += utf8.decode(pending).length;
    this.#started ||= this.#detokenizer.hasText(id);
    const all = pending.length ? Buffer.concat([pending, bytes]) : bytes;
    const end = unfinishedAt(all);
    const text = utf8.decode(all.subarray(0, end));
    this.#pending = all.subarray(end);
    this.#length += text.length;
    return { text, offset };
  }

  /** What is left of a character that was cut off. */
  end(): string {
    const text = utf8.decode(this.#pending);
    this.#pending = none;
    this.#length += text.length;
    return text;
  }
}
