/** @file Removes from tokenizer.json the state of the program that saved it. */

/** Brackets, and whole strings, since they may contain brackets. */
const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;

/**
 * Sets `truncation` and `padding` to null in the text of a tokenizer.json: they are settings of its last user, not
 * part of the model. Everything else stays as written, numbers included.
 */
export function removeRuntimeState(json: string): string {
  let [depth, result, copied] = [0, "", 0];
  /** The start of the object being removed. */
  let removed: number | undefined;
  for (const { 0: token, index } of json.matchAll(tokens)) {
    const end = index + token.length;
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") {
      depth--;
      if (depth === 1 && removed !== undefined) {
        result += `${json.slice(copied, removed)}null`;
        [copied, removed] = [end, undefined];
      }
    } else if (depth === 1 && (token === '"truncation"' || token === '"padding"')) {
      const colon = /\s*:\s*/y;
      colon.lastIndex = end;
      if (colon.test(json) && json[colon.lastIndex] === "{") removed = colon.lastIndex;
    }
  }
  return result + json.slice(copied);
}
