/** @file Schemas of request bodies, from the table of fields; any other field is rejected by name. */
import { z } from "zod";
import { optional, unsupported } from "./field.ts";
import {
  chatFields,
  completionFields,
  id,
  messageFields,
  partFields,
  sharedFields,
  tokenizeFields,
} from "./fields.ts";

/** Prompts of one request. */
const maxPrompts = 256;

export const CompletionRequest = z
  .strictObject({
    prompt: z
      .union(
        [
          z.string(),
          z.array(z.string()).min(1).max(maxPrompts),
          z.array(id).min(1),
          z.array(z.array(id).min(1)).min(1).max(maxPrompts),
        ],
        { error: `expected a text, token ids, or a list of at most ${maxPrompts} of either` },
      )
      .describe("a text or token ids, or a list of either"),
    ...optional(sharedFields),
    ...optional(completionFields),
  })
  .refine(({ best_of, n }) => (best_of ?? n ?? 1) === (n ?? 1), {
    path: ["best_of"],
    params: { [unsupported]: true },
    error: ({ input }) => {
      const { best_of, n } = input as { best_of: number; n?: number };
      return `${best_of} is not supported; leave it out, or send ${n ?? 1}, the value of n`;
    },
  });
export type CompletionRequest = z.infer<typeof CompletionRequest>;

/** A part of a message's content, as multimodal clients send it. */
const Part = z.strictObject({
  type: z.string().refine((type) => type === "text", {
    params: { [unsupported]: true },
    error: ({ input }) => `${JSON.stringify(input)} is not supported; only "text" is`,
  }),
  text: z.string(),
  ...optional(partFields),
});

const Message = z
  .strictObject({
    role: z.string().min(1).describe("developer becomes system if the template does not know it"),
    content: z
      .union([z.string(), z.array(Part)], { error: "expected a text, or a list of parts of type text" })
      .nullish()
      .describe("a text, or parts of type text; optional for the assistant only"),
    ...optional(messageFields),
  })
  .refine(({ role, content }) => role === "assistant" || (content ?? undefined) !== undefined, {
    path: ["content"],
    error: "expected a text, or a list of parts of type text",
  });
export type Message = z.infer<typeof Message>;

export const ChatRequest = z
  .strictObject({
    messages: z.array(Message).min(1),
    ...optional(sharedFields),
    ...optional(chatFields),
  })
  .refine(({ logprobs, top_logprobs }) => logprobs || !top_logprobs, {
    path: ["top_logprobs"],
    error: "needs logprobs: true",
  });
export type ChatRequest = z.infer<typeof ChatRequest>;

export const TokenizeRequest = z.strictObject({
  ...optional({ model: sharedFields.model, add_special_tokens: sharedFields.add_special_tokens }),
  ...optional(tokenizeFields),
  prompt: z.string(),
});
export const DetokenizeRequest = z.strictObject({
  ...optional({ model: sharedFields.model }),
  tokens: z.array(id),
});
