/** @file The token that a chat template puts behind an answer. */
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Message } from "./template.ts";

const answer = "an answer";

/**
 * The special token behind an answer, with which a model ends its turn, whether or not its settings list it
 * among those that end a text; undefined if the template puts none there, or refuses such messages.
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
  const at = text.lastIndexOf(answer);
  if (at < 0) return undefined;
  const behind = text.slice(at + answer.length).trimStart();
  const id: number | undefined = (await tokenizer.encode(behind)).ids[0];
  const isSpecial = id !== undefined && vocabulary.bytes[id].length === 0;
  return isSpecial && behind.startsWith(vocabulary.tokens[id]) ? id : undefined;
}
