/** @file tokenizer.json without what a program has left in it that was using it. */

/** Strings whole, since there may be brackets in them, and what opens or closes. */
const marks = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;

/**
 * The text of a tokenizer.json in which `truncation` and `padding` are null: they say how its last user wanted
 * texts cut off and filled up, and are no part of the model. All else keeps its text, numbers too.
 */
export function withoutRuntimeState(json: string): string {
  let [depth, result, copied] = [0, "", 0];
  /** Where the value begins that is left out, and where it ends once it is closed. */
  let dropped: number | undefined;
  for (const { 0: mark, index } of json.matchAll(marks)) {
    const end = index + mark.length;
    if (mark === "{" || mark === "[") depth++;
    else if (mark === "}" || mark === "]") {
      depth--;
      if (depth === 1 && dropped !== undefined) {
        result += `${json.slice(copied, dropped)}null`;
        [copied, dropped] = [end, undefined];
      }
    } else if (depth === 1 && (mark === '"truncation"' || mark === '"padding"')) {
      const colon = /\s*:\s*/y;
      colon.lastIndex = end;
      if (colon.test(json) && json[colon.lastIndex] === "{") dropped = colon.lastIndex;
    }
  }
  return result + json.slice(copied);
}
