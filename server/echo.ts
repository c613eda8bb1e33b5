/** @file A prompt that is repeated before its text: how it reads, and where in it each token begins. */
import { DecodeStream } from "../src/text/detokenize.ts";
import type { ModelService } from "./model-service.ts";

/** A prompt as the beginning of an answer. */
export interface Echo {
  readonly text: string;
  /** [T], where each token begins in the text (UTF-16 units) */
  readonly offsets: readonly number[];
}

/**
 * UTF-16 indexes of ascending UTF-8 offsets in a text; an offset inside a character counts as its beginning.
 */
function toUtf16(text: string, offsets: Iterable<number>): number[] {
  let [index, bytes] = [0, 0];
  return Array.from(offsets, (offset) => {
    while (index < text.length) {
      const point = text.codePointAt(index)!;
      const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      if (bytes + size > offset) break;
      bytes += size;
      index += point < 0x10000 ? 1 : 2;
    }
    return index;
  });
}

/**
 * The text of ids [T]. The beginning of a character at the end is left to the tokens that complete it, if any follow.
 */
async function decode({ detokenizer }: ModelService, ids: Int32Array, isContinued: boolean): Promise<Echo> {
  const stream = new DecodeStream(detokenizer);
  const steps: { text: string; offset: number }[] = [];
  for (const id of ids) steps.push(await stream.step(id));
  const text = steps.map((step) => step.text).join("") + (isContinued ? "" : stream.end());
  return { text, offsets: steps.map(({ offset }) => offset) };
}

/**
 * A prompt's text, and where its tokens are in it.
 * @param given the prompt if it was a text; undefined if it was ids
 * @param ids the prompt's ids [T]
 * @param isContinued whether tokens are generated after it
 */
export async function placePrompt(
  model: ModelService,
  given: string | undefined,
  ids: Int32Array,
  isContinued: boolean,
): Promise<Echo> {
  if (given === undefined) return decode(model, ids, isContinued);
  // The tokenizer knows where the tokens of a text end, also where it normalizes the text.
  const { ids: plain, ends } = await model.tokenizer.encode(given);
  const starts = toUtf16(given, ends.length ? [0, ...ends.subarray(0, -1)] : []);
  // Special tokens may stand before and after.
  for (let front = 0; front + plain.length <= ids.length; front++)
    if (plain.every((id, i) => ids[front + i] === id)) {
      const offsets = Array.from(ids, (_, i) => (i < front ? 0 : (starts[i - front] ?? given.length)));
      return { text: given, offsets };
    }
  const { offsets } = await decode(model, ids, isContinued);
  return { text: given, offsets: offsets.map((offset) => Math.min(offset, given.length)) };
}
