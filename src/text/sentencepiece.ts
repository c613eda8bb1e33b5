/** @file Converts tokenizer.model, a SentencePiece model, to the equivalent tokenizer.json. */
import { readFileSync } from "node:fs";
import { checkFile } from "../files/read.ts";
import {
  type Piece,
  type SentencePieceModel,
  modelTypes,
  parseSentencePiece,
  pieceTypes,
} from "./sentencepiece-model.ts";
import { type TokenizerConfig, specialToken } from "./tokenizer-config.ts";

/** Size limit of a model; that of Gemma's 256,000 tokens is 4 MB. */
const maxModelBytes = 100_000_000;

/**
 * Derives the merges of a BPE vocabulary: every way to split a piece into two others, best piece first, since
 * SentencePiece merges the pair whose piece has the highest score.
 */
function deriveMerges(pieces: readonly Piece[]): [string, string][] {
  const ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
  const merges = pieces.flatMap(({ piece, score }) => {
    const points = [...piece];
    const splits = points.slice(1).flatMap((_, i) => {
      const [left, right] = [points.slice(0, i + 1).join(""), points.slice(i + 1).join("")];
      return ids.has(left) && ids.has(right)
        ? [{ left, right, score, leftLength: i + 1, length: points.length }]
        : [];
    });
    return splits.sort(
      (a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!,
    );
  });
  merges.sort((a, b) => b.score - a.score || b.leftLength - a.leftLength || b.length - a.length);
  return merges.map(({ left, right }) => [left, right]);
}

const replace = (pattern: object, content: string) => ({ type: "Replace", pattern, content });
const spaceToMarker = replace({ String: " " }, "▁");

/** Whether a space is put before a text. */
const hasPrefix = (model: SentencePieceModel, config: TokenizerConfig) =>
  config.add_prefix_space ?? model.addDummyPrefix;

/** The normalizer and pre_tokenizer: SentencePiece's own normalization, spaces as ▁, and one before the text. */
function createNormalization(model: SentencePieceModel, config: TokenizerConfig) {
  const prefix = hasPrefix(model, config);
  const normalizers: object[] = [];
  if (model.charsmap.length)
    normalizers.push({
      type: "Precompiled",
      precompiled_charsmap: Buffer.from(model.charsmap).toString("base64"),
    });
  if (model.removeExtraWhitespaces)
    normalizers.push(
      { type: "Strip", strip_left: true, strip_right: true },
      replace({ Regex: " {2,}" }, " "),
    );
  // With legacy: false, transformers adds no second space before a leading one.
  if (config.legacy === false)
    return {
      normalizer: normalizers.length ? { type: "Sequence", normalizers } : null,
      pre_tokenizer: {
        type: "Metaspace",
        replacement: "▁",
        prepend_scheme: prefix ? "first" : "never",
        split: false,
      },
    };
  if (prefix) normalizers.push({ type: "Prepend", prepend: "▁" });
  return {
    normalizer: { type: "Sequence", normalizers: [...normalizers, spaceToMarker] },
    pre_tokenizer: null,
  };
}

/** The model part of tokenizer.json, by SentencePiece model type. */
const modelConverters: Readonly<Record<number, (model: SentencePieceModel, unknown: number) => object>> = {
  [modelTypes.bpe]: ({ pieces, byteFallback }, unknown) => ({
    type: "BPE",
    dropout: null,
    unk_token: pieces[unknown].piece,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(pieces.map(({ piece }, id) => [piece, id])),
    merges: deriveMerges(pieces),
  }),
  [modelTypes.unigram]: ({ pieces, byteFallback }, unknown) => ({
    type: "Unigram",
    unk_id: unknown,
    byte_fallback: byteFallback,
    vocab: pieces.map(({ piece, score }) => [piece, score]),
  }),
};

/** The pieces that become added tokens. */
function findAddedTokens({ pieces, modelType }: SentencePieceModel) {
  const isSpecial = (type: number) => type === pieceTypes.control || type === pieceTypes.unknown;
  // Unigram finds user-defined pieces by their score, which beats all others; as added tokens they would split
  // the text around them.
  const isAdded = (type: number) =>
    isSpecial(type) || (type === pieceTypes.userDefined && modelType === modelTypes.bpe);
  return pieces.flatMap(({ piece, type }, id) =>
    isAdded(type) ? [{ ...specialToken(piece), id, special: isSpecial(type) }] : [],
  );
}

function readModel(path: string): SentencePieceModel {
  checkFile(path, maxModelBytes);
  try {
    return parseSentencePiece(readFileSync(path));
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a SentencePiece model: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * Converts a tokenizer.model to tokenizer.json, without the tokens that other files add. The config's
 * add_prefix_space and legacy apply.
 * @throws naming the file, if it is damaged or neither BPE nor Unigram.
 */
export function readSentencePiece(path: string, config: TokenizerConfig): Record<string, unknown> {
  const model = readModel(path);
  const unknown = model.pieces.findIndex(({ type }) => type === pieceTypes.unknown);
  if (unknown < 0)
    throw new Error(`${path}: cannot be read as a SentencePiece model: it has no unknown piece`);
  const convert = modelConverters[model.modelType];
  if (!convert)
    throw new Error(`${path}: model type ${model.modelType} is not supported; expected BPE or Unigram`);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: findAddedTokens(model),
    ...createNormalization(model, config),
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        replace({ String: "▁" }, " "),
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(hasPrefix(model, config) ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: convert(model, unknown),
  };
}
