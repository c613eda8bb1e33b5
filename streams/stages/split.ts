/** @file Stage 2: documents to blocks that fit every tokenizer. */
import { splitText } from "../../src/text/split.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { type Block, type Document, type ResumePoint, startOfData } from "../records.ts";

/** Max tokens of text in a block: at least one of blockSize is left to the end-of-text token. */
export const maxBlockTokens = ({
  blockSize,
  slack,
}: {
  readonly blockSize: number;
  readonly slack: number;
}) => blockSize - Math.max(1, slack);

/**
 * @param maxTokens of a block, under any of the tokenizers.
 * @param resume UTF-16 units of the first document before the first block.
 */
export async function* split(
  documents: AsyncIterable<Document>,
  tokenizers: readonly Tokenizer[],
  maxTokens: number,
  resume: Pick<ResumePoint, "textOffset"> = startOfData,
): AsyncGenerator<Block> {
  let { textOffset } = resume;
  for await (const { text: whole, ...document } of documents) {
    for await (const text of splitText(whole.slice(textOffset), tokenizers, maxTokens)) {
      const end = textOffset + text.length;
      yield { ...document, text, textOffset, last: end === whole.length };
      textOffset = end;
    }
    textOffset = 0;
  }
}
