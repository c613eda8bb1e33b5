/** @file A model's chat template: finds it in the folder, and renders messages with it. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { checkFile } from "../files/read.ts";
import { readSettings } from "../text/settings.ts";
import { namedTokens } from "../text/special-tokens.ts";
import { readTokenizerConfig } from "../text/tokenizer-config.ts";
import { Renderer } from "./renderer.ts";

export interface Message {
  readonly role: string;
  /** null: no text, as in an answer that is a tool call */
  readonly content: string | null;
  /** The speaker, if several share a role. */
  readonly name?: string;
}

/**
 * Renders messages to a prompt that ends where the model's answer starts.
 * @throws if the template raises an exception, such as for an unsupported order of roles, or exceeds a limit.
 */
export type ChatTemplate = (messages: readonly Message[]) => Promise<string>;

/** Size limit of a template; real ones are some ten kB. */
const maxTemplateBytes = 1_000_000;
/** Time limit of one rendering; real templates take a few milliseconds. */
const defaultMilliseconds = 5000;

const Template = z
  .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))], {
    error: "expected a template, or a list of named templates",
  })
  .nullish();
const Settings = z.object({ chat_template: Template });

async function readText(path: string): Promise<string | undefined> {
  if (!existsSync(path)) return undefined;
  checkFile(path, maxTemplateBytes);
  return readFile(path, "utf8");
}

/** Reads the template in a JSON file, the default one of several; their names, if none is called default. */
function readField(path: string): string | readonly string[] | undefined {
  const template = readSettings(path, Settings)?.chat_template;
  if (!Array.isArray(template)) return template ?? undefined;
  if (template.length === 0) return undefined;
  return template.find(({ name }) => name === "default")?.template ?? template.map(({ name }) => name);
}

/** In the order of transformers: template files, then the legacy file of processors, then the tokenizer's config. */
const findTemplate = async (folder: string) =>
  (await readText(join(folder, "chat_template.jinja"))) ??
  (await readText(join(folder, "additional_chat_templates/default.jinja"))) ??
  readField(join(folder, "chat_template.json")) ??
  readField(join(folder, "tokenizer_config.json"));

/**
 * Reads a folder's chat template; undefined if there is none. Special tokens appear as text in what it renders.
 * @param milliseconds the time limit of one rendering
 * @throws naming the file, if it cannot be read.
 */
export async function readChatTemplate(
  folder: string,
  milliseconds = defaultMilliseconds,
): Promise<ChatTemplate | undefined> {
  const template = await findTemplate(folder);
  if (template === undefined) return undefined;
  if (typeof template !== "string") {
    const reason = `the model has no default chat template, only: ${template.join(", ")}`;
    return () => Promise.reject(new Error(reason));
  }
  const { byRole } = namedTokens(readTokenizerConfig(folder));
  const tokens = Object.fromEntries(Array.from(byRole, ([name, { content }]) => [name, content]));
  const renderer = new Renderer(milliseconds);
  return (messages) => {
    const withContent = messages.map((message) => ({ ...message, content: message.content ?? "" }));
    const variables = { messages: withContent, add_generation_prompt: true, tools: null, documents: null };
    return renderer.render({ template, variables: { ...tokens, ...variables } });
  };
}
