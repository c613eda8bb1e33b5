/** @file Stage 3: blocks to token ids, in the tokens of every model. */
import type { Encoding, Tokenizer } from "../../src/text/tokenizer.ts";
import type { Block, Encoded } from "../records.ts";

/** The target's tokenizer, and each teacher's by its name; a frozen target shares the target's. */
export interface Tokenizers {
  readonly target: Tokenizer;
  readonly teachers: ReadonlyMap<string, Tokenizer>;
}

/** Each tokenizer once. */
export const listTokenizers = ({ target, teachers }: Tokenizers): Tokenizer[] => [
  ...new Set([target, ...teachers.values()]),
];

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

/** A text in the tokens of every model; nothing is put in front. */
export async function encode(
  text: string,
  tokenizers: Tokenizers,
  endOfText = false,
): Promise<Pick<Encoded, "target" | "encodings">> {
  const encodings = new Map<Tokenizer, Encoding>();
  const encodeWith = async (tokenizer: Tokenizer) => {
    const encoding = await tokenizer.encode(text);
    encodings.set(tokenizer, endOfText ? withEnd(encoding, tokenizer.eos) : encoding);
  };
  await Promise.all(listTokenizers(tokenizers).map(encodeWith));
  const named = Array.from(
    tokenizers.teachers,
    ([name, tokenizer]) => [name, encodings.get(tokenizer)!] as const,
  );
  return { target: encodings.get(tokenizers.target)!, encodings: new Map(named) };
}

/** Blocks inside of a document do not end with the end-of-text token, since no text ends there. */
export async function* tokenize(
  blocks: AsyncIterable<Block>,
  tokenizers: Tokenizers,
): AsyncGenerator<Encoded> {
  for await (const block of blocks) yield { block, ...(await encode(block.text, tokenizers, block.last)) };
}
