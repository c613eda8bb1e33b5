/**
 * @file Parses tokenizer.model, a SentencePiece model.
 * Fields: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
import { Reader } from "protobufjs/minimal";

/** ModelProto.SentencePiece.Type */
export const pieceTypes = { unknown: 2, control: 3, userDefined: 4 } as const;
/** TrainerSpec.ModelType */
export const modelTypes = { unigram: 1, bpe: 2 } as const;

export interface Piece {
  piece: string;
  score: number;
  type: number;
}

export interface SentencePieceModel {
  pieces: Piece[];
  modelType: number;
  byteFallback: boolean;
  /** NormalizerSpec.precompiled_charsmap; empty: none */
  charsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
}

type FieldReaders = Readonly<Record<number, () => void>>;

/** Reads the fields of a message by number, skipping those without a reader. */
function readFields(reader: Reader, end: number, fields: FieldReaders): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (fields[tag >>> 3]) fields[tag >>> 3]();
    else reader.skipType(tag & 7);
  }
}

/** @throws if the bytes are not a protobuf message. */
export function parseSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const reader = Reader.create(bytes);
  const model: SentencePieceModel = {
    pieces: [],
    modelType: modelTypes.unigram,
    byteFallback: false,
    charsmap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
  };
  const readMessage = (fields: FieldReaders) => {
    const length = reader.uint32();
    if (length > reader.len - reader.pos) throw new Error("unexpected end of file");
    readFields(reader, reader.pos + length, fields);
  };
  readFields(reader, reader.len, {
    1() {
      const piece: Piece = { piece: "", score: 0, type: 1 };
      readMessage({
        1: () => (piece.piece = reader.string()),
        2: () => (piece.score = reader.float()),
        3: () => (piece.type = reader.int32()),
      });
      model.pieces.push(piece);
    },
    2: () =>
      readMessage({
        3: () => (model.modelType = reader.int32()),
        35: () => (model.byteFallback = reader.bool()),
      }),
    3: () =>
      readMessage({
        2: () => (model.charsmap = reader.bytes().slice()),
        3: () => (model.addDummyPrefix = reader.bool()),
        4: () => (model.removeExtraWhitespaces = reader.bool()),
      }),
  });
  return model;
}
