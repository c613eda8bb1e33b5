/** @file Stage 2: documents to blocks that fit every tokenizer. */
import { splitText } from "../../src/text/split.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Block, Document } from "../records.ts";

/** Tokens that text may have in a block: at least one of blockSize is left to the end of a document. */
export const maxBlockTokens = ({
  blockSize,
  slack,
}: {
  readonly blockSize: number;
  readonly slack: number;
}) => blockSize - Math.max(1, slack);

/**
 * @param limit most tokens of a block under any of the tokenizers.
 * @param skip UTF-16 units of the first document to leave out: the start of one of its blocks.
 */
export async function* split(
  documents: AsyncIterable<Document>,
  tokenizers: readonly Tokenizer[],
  limit: number,
  skip = 0,
): AsyncGenerator<Block> {
  let start = skip;
  for await (const { text: whole, ...document } of documents) {
    for await (const text of splitText(whole.slice(start), tokenizers, limit)) {
      const end = start + text.length;
      yield { ...document, text, textOffset: start, last: end === whole.length };
      start = end;
    }
    start = 0;
  }
}
