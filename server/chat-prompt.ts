/** @file Messages to a prompt, by the model's own chat template. */
import type { ChatTemplate } from "../src/chat/template.ts";
import { RequestError } from "./errors.ts";
import type { ModelService } from "./model-service.ts";
import type { ChatRequest, Message } from "./schema.ts";

/** A message as templates take it: the text of its parts joined, "" for none. */
const flatten = ({ role, content, name }: Message) => ({
  role,
  content: typeof content === "string" ? content : (content ?? []).map(({ text }) => text).join(""),
  ...(name && { name }),
});

const knowsDevelopers = new WeakMap<ChatTemplate, Promise<boolean>>();

/** Whether a template handles the role developer, rather than printing the name of any role. */
function knowsDeveloper(template: ChatTemplate): Promise<boolean> {
  const render = (role: string) =>
    template([
      { role, content: "Be brief." },
      { role: "user", content: "Why?" },
    ]).catch(() => undefined);
  const unknown = "no-such-role";
  const compare = async () => {
    const developer = await render("developer");
    const other = await render(unknown);
    return developer !== undefined && developer !== other?.replaceAll(unknown, "developer");
  };
  const known = knowsDevelopers.get(template) ?? compare();
  knowsDevelopers.set(template, known);
  return known;
}

/**
 * Ids [T] of a conversation, up to where the model is to answer.
 * @throws RequestError 400 if the model has no template, or its template refuses the messages.
 */
export async function encodeMessages(
  { chat, name, encoder }: ModelService,
  request: ChatRequest,
): Promise<Int32Array> {
  if (!chat)
    throw new RequestError(
      400,
      `messages: ${name} has no chat template; use /v1/completions`,
      "messages",
      "no_chat_template",
    );
  let messages = request.messages.map(flatten);
  if (messages.some(({ role }) => role === "developer") && !(await knowsDeveloper(chat)))
    messages = messages.map((message) =>
      message.role === "developer" ? { ...message, role: "system" } : message,
    );
  let text: string;
  try {
    text = await chat(messages);
  } catch (error) {
    // The cause is the template's own message; the error around it names the file.
    const reason = (error as Error).cause ?? error;
    throw new RequestError(400, `messages: ${(reason as Error).message}`, "messages", "refused_by_template");
  }
  // The template writes the special tokens itself.
  return encoder.encodePrompt(text, "messages", request.add_special_tokens ?? false);
}
