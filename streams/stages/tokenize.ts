/** @file Stage 3: blocks to token ids, in the tokens of every model. */
import type { Encoding, Tokenizer } from "../../src/text/tokenizer.ts";
import type { Block, Encoded } from "../records.ts";

/** A document ends with the model's own end-of-text token, which covers no byte. */
function withEnd({ ids, ends }: Encoding, eos: number): Encoding {
  const longerIds = new Int32Array(ids.length + 1);
  const longerEnds = new Int32Array(ids.length + 1);
  longerIds.set(ids);
  longerEnds.set(ends);
  longerIds[ids.length] = eos;
  longerEnds[ids.length] = ends.at(-1) ?? 0;
  return { ids: longerIds, ends: longerEnds };
}

/** No token is put in front; the blocks inside of a document do not end with eos, since no text ends there. */
export async function* tokenize(
  blocks: AsyncIterable<Block>,
  tokenizers: readonly Tokenizer[],
): AsyncGenerator<Encoded> {
  for await (const block of blocks) {
    const encodings = await Promise.all(tokenizers.map((tokenizer) => tokenizer.encode(block.text)));
    yield {
      block,
      encodings: block.last
        ? encodings.map((encoding, i) => withEnd(encoding, tokenizers[i].eos))
        : encodings,
    };
  }
}
