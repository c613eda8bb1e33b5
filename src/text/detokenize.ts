/**
 * @file Ids to text, token by token. A token's text depends only on the tokens before it, so a streamed text is
 * the same as a whole one. (The library's decoder replaces all bytes of a run if its last character is cut off.)
 */
import type { Tokenizer } from "./tokenizer.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const wholeUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);

/** The longest UTF-8 character. */
const maxCharacterBytes = 4;
const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;

function isWhole(bytes: Uint8Array): boolean {
  try {
    wholeUtf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Where an incomplete last character starts; the length, if the last one is complete. */
function findIncomplete(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at >= 0 && bytes.length - at < maxCharacterBytes; at--) {
    if (isContinuation(bytes[at])) continue;
    const needed = bytes[at] >= 0xf0 ? 4 : bytes[at] >= 0xe0 ? 3 : bytes[at] >= 0xc0 ? 2 : 1;
    return bytes.length - at < needed ? at : bytes.length;
  }
  return bytes.length;
}

/** The bytes that each token adds to a text, cached. */
export class Detokenizer {
  readonly #tokenizer: Pick<Tokenizer, "vocabulary" | "decode">;
  readonly #first = new Map<number, Uint8Array>();
  readonly #later = new Map<number, Uint8Array>();
  /** A token of letters, used as context to decode others after it; -1 if there is none. */
  readonly #letters: number;
  #lettersText: string | undefined;

  constructor(tokenizer: Pick<Tokenizer, "vocabulary" | "decode">) {
    this.#tokenizer = tokenizer;
    const isLetter = (byte: number) => byte >= 0x61 && byte <= 0x7a;
    this.#letters = tokenizer.vocabulary.bytes.findIndex(
      (bytes) => bytes.length > 0 && bytes.every(isLetter),
    );
  }

  /** Whether a token has any text; special tokens and unused ids have none. */
  hasText(id: number): boolean {
    return (this.#tokenizer.vocabulary.bytes[id]?.length ?? 0) > 0;
  }

  /** The UTF-8 bytes that a token adds, first in a text (where SentencePiece drops its space) or later. */
  async lookUpBytes(id: number, first: boolean): Promise<Uint8Array> {
    const cache = first ? this.#first : this.#later;
    let bytes = cache.get(id);
    if (!bytes) cache.set(id, (bytes = await this.#lookUp(id, first)));
    return bytes;
  }

  async #lookUp(id: number, first: boolean): Promise<Uint8Array> {
    const own = this.#tokenizer.vocabulary.bytes[id] ?? noBytes;
    // Decoded alone, part of a character could not be joined with the rest.
    if (own.length === 0 || !isWhole(own)) return own;
    if (first) return encoder.encode(await this.#tokenizer.decode([id]));
    if (this.#letters < 0) return own;
    const prefix = (this.#lettersText ??= await this.#tokenizer.decode([this.#letters]));
    const both = await this.#tokenizer.decode([this.#letters, id]);
    return both.startsWith(prefix) ? encoder.encode(both.slice(prefix.length)) : own;
  }

  /** Decodes ids, leaving out special tokens; invalid UTF-8 becomes U+FFFD. */
  async decode(ids: Iterable<number>): Promise<string> {
    const stream = new DecodeStream(this);
    const texts: string[] = [];
    for (const id of ids) texts.push((await stream.step(id)).text);
    return texts.join("") + stream.end();
  }
}

/** Decodes ids one by one, holding back incomplete characters until the end. */
export class DecodeStream {
  readonly #detokenizer: Detokenizer;
  #started = false;
  /** Bytes of an incomplete character. */
  #pending: Uint8Array = noBytes;
  #length = 0;

  constructor(detokenizer: Detokenizer) {
    this.#detokenizer = detokenizer;
  }

  /** The length of the text so far, in UTF-16 units. */
  get length(): number {
    return this.#length;
  }

  /** Starts after ids that are not decoded, except for a character that they leave incomplete. */
  async prime(ids: ArrayLike<number>): Promise<void> {
    const last: number[] = [];
    for (let i = ids.length - 1; i >= 0 && last.length < maxCharacterBytes; i--)
      if (this.#detokenizer.hasText(ids[i])) last.unshift(ids[i]);
    for (const id of last) await this.step(id);
    this.#length = 0;
  }

  /** Adds a token: the text that it completes, and the offset of its start, or of the character that it starts in. */
  async step(id: number): Promise<{ text: string; offset: number }> {
    const bytes = await this.#detokenizer.lookUpBytes(id, !this.#started);
    const pending = this.#pending;
    let offset = this.#length;
    if (bytes.length && pending.length && !isContinuation(bytes[0])) offset += utf8.decode(pending).length;
    this.#started ||= this.#detokenizer.hasText(id);
    const all = pending.length ? Buffer.concat([pending, bytes]) : bytes;
    const end = findIncomplete(all);
    const text = utf8.decode(all.subarray(0, end));
    this.#pending = all.subarray(end);
    this.#length += text.length;
    return { text, offset };
  }

  /** The rest of the text: an incomplete character, as U+FFFD. */
  end(): string {
    const text = utf8.decode(this.#pending);
    this.#pending = noBytes;
    this.#length += text.length;
    return text;
  }
}
