/** @file The thread that renders a model's chat template; it is ended where that takes too long. */
import { compile } from "./interpreter.ts";

declare const self: Worker;

export interface RenderRequest {
  readonly template: string;
  readonly variables: Readonly<Record<string, unknown>>;
}
export type RenderResult = { readonly ready: true } | { readonly text: string } | { readonly error: string };

let compiled: { template: string; render: ReturnType<typeof compile> } | undefined;

self.onmessage = ({ data: { template, variables } }: MessageEvent<RenderRequest>) => {
  let reply: RenderResult;
  try {
    if (compiled?.template !== template) compiled = { template, render: compile(template) };
    reply = { text: compiled.render(variables) };
  } catch (error) {
    reply = { error: (error as Error).message };
  }
  self.postMessage(reply);
};
self.postMessage({ ready: true } satisfies RenderResult);
