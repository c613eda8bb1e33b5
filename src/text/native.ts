/** @file The tokenizers library as a codec: text to ids and code point ranges, and back. */
import { Tokenizer } from "tokenizers";

export interface NativeEncoding {
  readonly ids: readonly number[];
  /** [start, end) of each token, in code points. */
  readonly offsets: readonly (readonly number[])[];
}

/** The library in this process, or in another. */
export interface Codec {
  /** @param special whether to add the special tokens before and after the text */
  encode(text: string, special: boolean): Promise<NativeEncoding>;
  /** Decodes ids, leaving out special tokens. */
  decode(ids: readonly number[]): Promise<string>;
}

/** A codec in this process. */
export function createCodec(native: Tokenizer): Codec {
  return {
    async encode(text, special) {
      const encoding = await native.encode(text, null, { addSpecialTokens: special });
      return { ids: encoding.getIds(), offsets: encoding.getOffsets() };
    },
    decode: (ids) => native.decode([...ids], true),
  };
}
