/** @file The tokenizers library: texts to ids and ranges of code points, and back. */
import { Tokenizer } from "tokenizers";

export interface NativeEncoding {
  readonly ids: readonly number[];
  /** Code points at which each token begins and ends. */
  readonly offsets: readonly (readonly number[])[];
}

/** What encodes: the library in this process, or in another. */
export interface Codec {
  /** @param special whether with the tokens that stand around a text */
  encode(text: string, special: boolean): Promise<NativeEncoding>;
  /** Text of ids, without special tokens. */
  decode(ids: readonly number[]): Promise<string>;
}

export function createCodec(native: Tokenizer): Codec {
  return {
    async encode(text, special) {
      const encoding = await native.encode(text, null, { addSpecialTokens: special });
      return { ids: encoding.getIds(), offsets: encoding.getOffsets() };
    },
    decode: (ids) => native.decode([...ids], true),
  };
}
