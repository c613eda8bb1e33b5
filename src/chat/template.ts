/** @file A model's own chat template: where it stands, and what it makes of messages. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { checkFile, readJson } from "../files/read.ts";
import { namedTokens, readTokenizerConfig, maxTokenizerBytes } from "../text/special-tokens.ts";
import { Renderer } from "./renderer.ts";

export interface Message {
  readonly role: string;
  /** None, as of an answer that was a call: no text. */
  readonly content: string | null;
  /** Of who speaks, where there are several in a role. */
  readonly name?: string;
}

/**
 * The prompt that a model's template makes of messages, up to where the model is to answer.
 * @throws what the template itself refuses, such as roles in an order that the model does not know, or the
 *   limit that it exceeds.
 */
export type ChatTemplate = (messages: readonly Message[]) => Promise<string>;

/** Largest template that is read; real ones have some ten kB. */
const limit = 1_000_000;
/** Real ones take a few milliseconds. */
const defaultMilliseconds = 5000;

const Template = z
  .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))], {
    error: "expected a template, or a list of templates with their names",
  })
  .nullish();
const Settings = z.object({ chat_template: Template });

async function readText(path: string): Promise<string | undefined> {
  if (!existsSync(path)) return undefined;
  checkFile(path, limit);
  return readFile(path, "utf8");
}

/** The template that a JSON file has, of several the one called default; their names, if none is. */
function readField(path: string): string | readonly string[] | undefined {
  if (!existsSync(path)) return undefined;
  const result = Settings.safeParse(readJson(path, maxTokenizerBytes));
  if (!result.success) {
    const [{ path: field, message }] = result.error.issues;
    throw new Error(`${path}: ${[...field, message].join(": ")}`);
  }
  const { chat_template: template } = result.data;
  if (!Array.isArray(template)) return template ?? undefined;
  if (template.length === 0) return undefined;
  return template.find(({ name }) => name === "default")?.template ?? template.map(({ name }) => name);
}

/** As transformers looks for it: files of its own, then the old file of processors, then the tokenizer's settings. */
const findTemplate = async (folder: string) =>
  (await readText(join(folder, "chat_template.jinja"))) ??
  (await readText(join(folder, "additional_chat_templates/default.jinja"))) ??
  readField(join(folder, "chat_template.json")) ??
  readField(join(folder, "tokenizer_config.json"));

/**
 * A folder's chat template; special tokens are in what it makes as texts. Undefined if there is none.
 * @param milliseconds that one rendering may take
 * @throws naming the file, if it cannot be read.
 */
export async function readChatTemplate(
  folder: string,
  milliseconds = defaultMilliseconds,
): Promise<ChatTemplate | undefined> {
  const template = await findTemplate(folder);
  if (template === undefined) return undefined;
  if (typeof template !== "string") {
    const reason = `none of the model's chat templates is called default, but ${template.join(", ")}`;
    return () => Promise.reject(new Error(reason));
  }
  const { parts } = namedTokens(readTokenizerConfig(folder));
  const tokens = Object.fromEntries(Array.from(parts, ([name, { content }]) => [name, content]));
  const renderer = new Renderer(milliseconds);
  return (messages) => {
    const plain = messages.map((message) => ({ ...message, content: message.content ?? "" }));
    const variables = { messages: plain, add_generation_prompt: true, tools: null, documents: null };
    return renderer.render({ template, variables: { ...tokens, ...variables } });
  };
}
