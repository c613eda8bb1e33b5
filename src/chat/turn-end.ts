/** @file The token with which a chat template ends an answer. */
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Message } from "./template.ts";

const answer = "an answer";

/**
 * Finds the special token after an answer, with which a model ends its turn, whether or not it is an eos_token_id;
 * undefined if the template adds none, or rejects a plain question and answer.
 */
export async function findTurnEnd(
  render: (messages: readonly Message[]) => string | Promise<string>,
  tokenizer: Tokenizer,
): Promise<number | undefined> {
  const { vocabulary } = tokenizer;
  let text: string;
  try {
    text = await render([
      { role: "user", content: "a question" },
      { role: "assistant", content: answer },
    ]);
  } catch {
    return undefined;
  }
  const start = text.lastIndexOf(answer);
  if (start < 0) return undefined;
  const rest = text.slice(start + answer.length).trimStart();
  const id: number | undefined = (await tokenizer.encode(rest)).ids[0];
  const isSpecial = id !== undefined && vocabulary.bytes[id].length === 0;
  return isSpecial && rest.startsWith(vocabulary.tokens[id]) ? id : undefined;
}
