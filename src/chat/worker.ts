/** @file The worker that renders chat templates; the renderer terminates it if that takes too long. */
import { compile } from "./interpreter.ts";

declare const self: Worker;

export interface RenderRequest {
  readonly template: string;
  readonly variables: Readonly<Record<string, unknown>>;
}
export type RenderResult = { readonly ready: true } | { readonly text: string } | { readonly error: string };

let compiled: { template: string; render: ReturnType<typeof compile> } | undefined;

self.onmessage = ({ data: { template, variables } }: MessageEvent<RenderRequest>) => {
  let result: RenderResult;
  try {
    if (compiled?.template !== template) compiled = { template, render: compile(template) };
    result = { text: compiled.render(variables) };
  } catch (error) {
    result = { error: (error as Error).message };
  }
  self.postMessage(result);
};
self.postMessage({ ready: true } satisfies RenderResult);
