/** @file A prompt that is repeated in front of its text: how it reads, and where in it each of its tokens begins. */
import { DecodeStream } from "../src/text/detokenize.ts";
import type { ServedModel } from "./model.ts";

export interface Echo {
  readonly text: string;
  /** [T], UTF-16 units */
  readonly offsets: readonly number[];
}

/** The index of each place in a text's UTF-8 form, in order; of one inside of a character, that of the character. */
function indexesOf(text: string, places: Iterable<number>): number[] {
  let [index, bytes] = [0, 0];
  return Array.from(places, (place) => {
    while (index < text.length) {
      const point = text.codePointAt(index)!;
      const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      if (bytes + size > place) break;
      bytes += size;
      index += point < 0x10000 ? 1 : 2;
    }
    return index;
  });
}

/**
 * Text that ids decode to. A character that their last ones begin comes with the tokens that end it, if any
 * are to follow.
 */
async function decoded({ detokenizer }: ServedModel, ids: Int32Array, goesOn: boolean): Promise<Echo> {
  const stream = new DecodeStream(detokenizer);
  const steps: { text: string; offset: number }[] = [];
  for (const id of ids) steps.push(await stream.step(id));
  const text = steps.map((step) => step.text).join("") + (goesOn ? "" : stream.end());
  return { text, offsets: steps.map(({ offset }) => offset) };
}

/**
 * @param prompt as it was given: a text, or undefined for ids
 * @param goesOn whether tokens are to follow
 */
export async function echoOf(
  served: ServedModel,
  prompt: string | undefined,
  ids: Int32Array,
  goesOn: boolean,
): Promise<Echo> {
  if (prompt === undefined) return decoded(served, ids, goesOn);
  // Of a text, its tokenizer knows where tokens end, also where their own texts are normalized ones.
  const { ids: plain, ends } = await served.tokenizer.encode(prompt);
  const starts = indexesOf(prompt, ends.length ? [0, ...ends.subarray(0, -1)] : []);
  for (let front = 0; front + plain.length <= ids.length; front++)
    if (plain.every((id, i) => ids[front + i] === id)) {
      const offsets = Array.from(ids, (_, i) => (i < front ? 0 : (starts[i - front] ?? prompt.length)));
      return { text: prompt, offsets };
    }
  const { offsets } = await decoded(served, ids, goesOn);
  return { text: prompt, offsets: offsets.map((offset) => Math.min(offset, prompt.length)) };
}
