/**
 * @file The length up to which the tokenizers library provably encodes any text. The library aborts the process
 * on some contents of a tokenizer.json, so one with parts that are not listed here runs in a process of its own.
 */
import { retriesPerCharacter } from "./backtracking.ts";
import { isSoundCharsmap } from "./charsmap.ts";

type Part = Readonly<Record<string, unknown>>;

/** Half the retries after which Oniguruma gives up on a match. */
const maxRetries = 5_000_000;

const isPart = (value: unknown): value is Part => typeof value === "object" && value !== null;

/** A part's effect on a text, per character: how many characters it may become, and how many retries it may take. */
interface Effect {
  readonly growth: number;
  readonly retries: number;
}
const none: Effect = { growth: 1, retries: 0 };
const grow = (growth: number): Effect => ({ growth, retries: 0 });

/** A search pattern: a regular expression or a string. An empty one matches past the end of the text. */
function searchEffect(part: Part, growth: number): Effect | undefined {
  const { String: text, Regex: expression } = part.pattern as { String?: unknown; Regex?: unknown };
  if (typeof text === "string" && text !== "") return grow(growth);
  if (typeof expression !== "string" || expression === "") return undefined;
  const retries = retriesPerCharacter(expression);
  return retries === undefined ? undefined : { growth, retries };
}

const textLength = (text: unknown) => (typeof text === "string" ? text.length : Infinity);

const effects: Readonly<Record<string, (part: Part) => Effect | undefined>> = {
  // Normalizers. The longest compatibility decomposition of a character has 18.
  NFC: () => grow(3),
  NFD: () => grow(4),
  NFKC: () => grow(18),
  NFKD: () => grow(18),
  Nmt: () => none,
  Lowercase: () => grow(3),
  Strip: () => none,
  StripAccents: () => none,
  BertNormalizer: () => grow(12),
  Prepend: (part) => grow(1 + textLength(part.prepend)),
  Replace: (part) => searchEffect(part, Math.max(1, textLength(part.content))),
  Precompiled: (part) => (isSoundCharsmap(part.precompiled_charsmap) ? grow(18) : undefined),
  // Pre-tokenizers
  // GPT-2's expression, in which only \s+(?!\S) backtracks.
  ByteLevel: () => ({ growth: 4, retries: 2 }),
  Metaspace: () => grow(2),
  Whitespace: () => grow(1),
  WhitespaceSplit: () => none,
  BertPreTokenizer: () => none,
  CharDelimiterSplit: () => none,
  Digits: () => none,
  Punctuation: () => none,
  UnicodeScripts: () => none,
  Split: (part) => searchEffect(part, 1),
  FixedLength: (part) => (Number(part.length) > 0 ? none : undefined),
  // Post-processors
  TemplateProcessing: (part) =>
    [part.single].flat().every((item) => isPart(item) && (item.Sequence as Part | undefined)?.id !== "B")
      ? none
      : undefined,
  BertProcessing: () => none,
  RobertaProcessing: () => none,
  // Decoders
  BPEDecoder: () => none,
  ByteFallback: () => none,
  CTC: () => none,
  Fuse: () => none,
  WordPiece: () => none,
};

const sequenceFields = ["normalizers", "pretokenizers", "processors", "decoders"];

function analyze(part: unknown): Effect | undefined {
  if (part === null || part === undefined) return none;
  if (!isPart(part)) return undefined;
  if (part.type !== "Sequence") {
    const type = String(part.type);
    return Object.hasOwn(effects, type) ? effects[type](part) : undefined;
  }
  let [growth, retries] = [1, 0];
  for (const item of sequenceFields.flatMap((name) => (part[name] ?? []) as unknown[])) {
    const own = analyze(item);
    if (!own) return undefined;
    retries = Math.max(retries, growth * own.retries);
    growth *= own.growth;
  }
  return { growth, retries };
}

/** The longest text, in characters, that a tokenizer.json provably encodes and decodes; 0 if nothing is provable. */
export function provenLength(json: Readonly<Record<string, unknown>>): number {
  const [normalizer, preTokenizer] = [analyze(json.normalizer), analyze(json.pre_tokenizer)];
  const [postProcessor, decoder] = [analyze(json.post_processor), analyze(json.decoder)];
  const model = isPart(json.model) ? json.model.type : undefined;
  if (!normalizer || !preTokenizer || !postProcessor || !decoder) return 0;
  // A decoder's expressions run on texts of any length.
  const isByteLevel = isPart(json.decoder) && json.decoder.type === "ByteLevel";
  if (
    (decoder.retries > 0 && !isByteLevel) ||
    !["BPE", "Unigram", "WordLevel", "WordPiece", undefined].includes(model as string)
  )
    return 0;
  const retries = Math.max(normalizer.retries, normalizer.growth * preTokenizer.retries);
  return retries === 0 ? Infinity : Math.floor(maxRetries / retries);
}
