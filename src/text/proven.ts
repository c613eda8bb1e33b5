/**
 * @file Which texts the tokenizers library encodes for sure. It aborts the process over some things that a
 * tokenizer.json may hold, so one with anything but what is known here works in a process of its own.
 */
import { retriesPerCharacter } from "./backtracking.ts";

type Part = Readonly<Record<string, unknown>>;

/** Oniguruma gives up on a match after twice as many. */
const mostRetries = 5_000_000;

const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null;

/** What a part does to a text: how many characters it makes of one at most, and how often it tries again for each. */
interface Effect {
  readonly growth: number;
  readonly retries: number;
}
const none: Effect = { growth: 1, retries: 0 };
const growing = (growth: number): Effect => ({ growth, retries: 0 });

/** An expression, or a text that is looked for; an empty one is found where a text has ended. */
function pattern(part: Part, growth: number): Effect | undefined {
  const { String: text, Regex: expression } = part.pattern as { String?: unknown; Regex?: unknown };
  if (typeof text === "string" && text !== "") return growing(growth);
  if (typeof expression !== "string" || expression === "") return undefined;
  const retries = retriesPerCharacter(expression);
  return retries === undefined ? undefined : { growth, retries };
}

const lengthOf = (text: unknown) => (typeof text === "string" ? text.length : Infinity);

const effects: Readonly<Record<string, (part: Part) => Effect | undefined>> = {
  // Normalizers; the longest compatibility decomposition of a character has 18.
  NFC: () => growing(3),
  NFD: () => growing(4),
  NFKC: () => growing(18),
  NFKD: () => growing(18),
  Nmt: () => none,
  Lowercase: () => growing(3),
  Strip: () => none,
  StripAccents: () => none,
  BertNormalizer: () => growing(12),
  Prepend: (part) => growing(1 + lengthOf(part.prepend)),
  Replace: (part) => pattern(part, Math.max(1, lengthOf(part.content))),
  Precompiled: (part) => (isSoundCharsmap(part.precompiled_charsmap) ? growing(18) : undefined),
  // Splitting into words
  // GPT-2's expression, of which only \s+(?!\S) gives anything back.
  ByteLevel: () => ({ growth: 4, retries: 2 }),
  Metaspace: () => growing(2),
  Whitespace: () => growing(1),
  WhitespaceSplit: () => none,
  BertPreTokenizer: () => none,
  CharDelimiterSplit: () => none,
  Digits: () => none,
  Punctuation: () => none,
  UnicodeScripts: () => none,
  Split: (part) => pattern(part, 1),
  FixedLength: (part) => (Number(part.length) > 0 ? none : undefined),
  // What stands around a text
  TemplateProcessing: (part) =>
    [part.single].flat().every((one) => isPart(one) && (one.Sequence as Part | undefined)?.id !== "B")
      ? none
      : undefined,
  BertProcessing: () => none,
  RobertaProcessing: () => none,
  // Text out of tokens
  BPEDecoder: () => none,
  ByteFallback: () => none,
  CTC: () => none,
  Fuse: () => none,
  WordPiece: () => none,
};

const inside = ["normalizers", "pretokenizers", "processors", "decoders"];

function effectOf(part: unknown): Effect | undefined {
  if (part === null || part === undefined) return none;
  if (!isPart(part)) return undefined;
  if (part.type !== "Sequence") {
    const type = String(part.type);
    return Object.hasOwn(effects, type) ? effects[type](part) : undefined;
  }
  let [growth, retries] = [1, 0];
  for (const one of inside.flatMap((name) => (part[name] ?? []) as unknown[])) {
    const own = effectOf(one);
    if (!own) return undefined;
    retries = Math.max(retries, growth * own.retries);
    growth *= own.growth;
  }
  return { growth, retries };
}

/**
 * Characters of the longest text that a tokenizer.json surely encodes, and decodes again; 0 if that cannot
 * be told of any.
 */
export function provenLength(json: Readonly<Record<string, unknown>>): number {
  const [normalizer, words] = [effectOf(json.normalizer), effectOf(json.pre_tokenizer)];
  const [around, decoder] = [effectOf(json.post_processor), effectOf(json.decoder)];
  const model = isPart(json.model) ? json.model.type : undefined;
  if (!normalizer || !words || !around || !decoder) return 0;
  // A decoder's expressions see texts of any length.
  const isByteLevel = isPart(json.decoder) && json.decoder.type === "ByteLevel";
  if (
    (decoder.retries > 0 && !isByteLevel) ||
    !["BPE", "Unigram", "WordLevel", "WordPiece", undefined].includes(model as string)
  )
    return 0;
  const retries = Math.max(normalizer.retries, normalizer.growth * words.retries);
  return retries === 0 ? Infinity : Math.floor(mostRetries / retries);
}

/**
 * Whether every walk through SentencePiece's table of normalizations stays in it: a double array of units
 * (darts-clone), then the texts that its leaves point to.
 * Layout: https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
 */
function isSoundCharsmap(base64: unknown): boolean {
  if (typeof base64 !== "string") return false;
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length < 4) return false;
  const size = bytes.readUInt32LE(0);
  if (size % 4 !== 0 || size === 0 || 4 + size > bytes.length) return false;
  const texts = bytes.subarray(4 + size);
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  /** Whether a text begins here: at the first byte of a character. */
  const begins = (at: number) => at < texts.length && (texts[at] & 0xc0) !== 0x80;
  return units.every((unit, at) => {
    // A leaf is only read by way of the unit before it.
    if (unit >>> 31) return true;
    const next = at ^ ((unit >>> 10) << ((unit & 0x200) >>> 6));
    if ((next | 0xff) >= units.length) return false;
    return !(unit & 0x100) || begins(units[next] & 0x7fffffff);
  });
}
