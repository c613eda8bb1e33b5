/**
 * @file tokenizer.model, a SentencePiece model, as the tokenizer.json that stands for the same.
 * Fields: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
import { readFileSync } from "node:fs";
import { Reader } from "protobufjs/minimal";
import { checkFile } from "../files/read.ts";
import { type TokenizerConfig } from "./special-tokens.ts";

/** Largest model that is read; that of Gemma's 256,000 tokens has 4 MB. */
const limit = 100_000_000;

/** ModelProto.SentencePiece.Type */
const pieceTypes = { unknown: 2, control: 3, userDefined: 4 } as const;
/** TrainerSpec.ModelType */
const modelTypes = { unigram: 1, bpe: 2 } as const;

interface Piece {
  piece: string;
  score: number;
  type: number;
}

interface Model {
  pieces: Piece[];
  modelType: number;
  byteFallback: boolean;
  charsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
}

/** Calls for each field of a message; one that is not asked for is skipped. */
function fields(reader: Reader, end: number, take: Readonly<Record<number, () => void>>): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (take[tag >>> 3]) take[tag >>> 3]();
    else reader.skipType(tag & 7);
  }
}

function parse(bytes: Uint8Array): Model {
  const reader = Reader.create(bytes);
  const model: Model = {
    pieces: [],
    modelType: modelTypes.unigram,
    byteFallback: false,
    charsmap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
  };
  const message = (take: Readonly<Record<number, () => void>>) => {
    const length = reader.uint32();
    if (length > reader.len - reader.pos) throw new Error("it ends in the middle");
    fields(reader, reader.pos + length, take);
  };
  fields(reader, reader.len, {
    1() {
      const piece: Piece = { piece: "", score: 0, type: 1 };
      message({
        1: () => (piece.piece = reader.string()),
        2: () => (piece.score = reader.float()),
        3: () => (piece.type = reader.int32()),
      });
      model.pieces.push(piece);
    },
    2: () =>
      message({
        3: () => (model.modelType = reader.int32()),
        35: () => (model.byteFallback = reader.bool()),
      }),
    3: () =>
      message({
        2: () => (model.charsmap = reader.bytes().slice()),
        3: () => (model.addDummyPrefix = reader.bool()),
        4: () => (model.removeExtraWhitespaces = reader.bool()),
      }),
  });
  return model;
}

/**
 * The merges of a BPE vocabulary: every way to make a piece of two others, the best piece first;
 * SentencePiece, too, merges the pair whose piece has the highest score.
 */
function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
  const merges = pieces.flatMap(({ piece, score }) => {
    const points = [...piece];
    const ways = points.slice(1).flatMap((_, i) => {
      const [left, right] = [points.slice(0, i + 1).join(""), points.slice(i + 1).join("")];
      return ids.has(left) && ids.has(right)
        ? [{ left, right, score, length: i + 1, of: points.length }]
        : [];
    });
    return ways.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!);
  });
  merges.sort((a, b) => b.score - a.score || b.length - a.length || b.of - a.of);
  return merges.map(({ left, right }) => [left, right]);
}

const replace = (pattern: object, content: string) => ({ type: "Replace", pattern, content });
const blankToMark = replace({ String: " " }, "▁");

/** How a text is prepared: SentencePiece's own normalization, blanks as ▁, and one more in front. */
function preparation(model: Model, { add_prefix_space, legacy }: TokenizerConfig) {
  const prefix = add_prefix_space ?? model.addDummyPrefix;
  const steps: object[] = [];
  if (model.charsmap.length)
    steps.push({ type: "Precompiled", precompiled_charsmap: Buffer.from(model.charsmap).toString("base64") });
  if (model.removeExtraWhitespaces)
    steps.push({ type: "Strip", strip_left: true, strip_right: true }, replace({ Regex: " {2,}" }, " "));
  // Since they gave up the "legacy" way, Hugging Face's tokenizers put no second blank before a blank.
  if (legacy === false)
    return {
      normalizer: steps.length ? { type: "Sequence", normalizers: steps } : null,
      pre_tokenizer: {
        type: "Metaspace",
        replacement: "▁",
        prepend_scheme: prefix ? "first" : "never",
        split: false,
      },
    };
  if (prefix) steps.push({ type: "Prepend", prepend: "▁" });
  return { normalizer: { type: "Sequence", normalizers: [...steps, blankToMark] }, pre_tokenizer: null };
}

/**
 * A tokenizer.model as tokenizer.json, but for the tokens that other files add. Of the settings, those count
 * that change how it is read.
 * @throws naming the file, if it is damaged or neither BPE nor Unigram.
 */
export function readSentencePiece(path: string, settings: TokenizerConfig): Record<string, unknown> {
  checkFile(path, limit);
  let model: Model;
  try {
    model = parse(readFileSync(path));
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a SentencePiece model: ${(cause as Error).message}`, {
      cause,
    });
  }
  const { pieces, modelType, byteFallback } = model;
  const unknown = pieces.findIndex(({ type }) => type === pieceTypes.unknown);
  if (unknown < 0)
    throw new Error(`${path}: cannot be read as a SentencePiece model: it has no unknown piece`);
  const special = (type: number) => type === pieceTypes.control || type === pieceTypes.unknown;
  // Unigram finds a symbol of the user's by its score, which beats all others, and leaves the text around it whole.
  const listed = (type: number) =>
    special(type) || (type === pieceTypes.userDefined && modelType === modelTypes.bpe);
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const found = pieces.flatMap(({ piece, type }, id) =>
    listed(type) ? [{ ...plain, id, content: piece, special: special(type) }] : [],
  );
  const ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
  const models: Readonly<Record<number, () => object>> = {
    [modelTypes.bpe]: () => ({
      type: "BPE",
      dropout: null,
      unk_token: pieces[unknown].piece,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: byteFallback,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: mergesOf(pieces),
    }),
    [modelTypes.unigram]: () => ({
      type: "Unigram",
      unk_id: unknown,
      byte_fallback: byteFallback,
      vocab: pieces.map(({ piece, score }) => [piece, score]),
    }),
  };
  const make = models[modelType];
  if (!make) throw new Error(`${path}: model type ${modelType} is not supported; expected BPE or Unigram`);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: found,
    ...preparation(model, settings),
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        replace({ String: "▁" }, " "),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...((settings.add_prefix_space ?? model.addDummyPrefix)
          ? [{ type: "Strip", content: " ", start: 1, stop: 0 }]
          : []),
      ],
    },
    model: make(),
  };
}
