/** @file A server in this process, with a model in its worker. */
import { type AppOptions, createApp } from "../../server/app.ts";
import { ModelService, type ModelServiceOptions } from "../../server/model-service.ts";
import { demoModel } from "../close.ts";
import { type Folder, copyFolder } from "../folder.ts";

export interface Serving extends AsyncDisposable {
  readonly url: string;
  readonly model: ModelService;
  readonly stopping: AbortController;
}

export async function serving(
  options: Partial<ModelServiceOptions> = {},
  app: Partial<AppOptions> = {},
): Promise<Serving> {
  const folder = demoModel("pocket-llama");
  const defaults = { folder, device: "cpu", slots: 4, cacheBytes: 2 ** 26, queue: 64 } as const;
  const model = await ModelService.load({ ...defaults, ...options });
  const stopping = new AbortController();
  const { fetch } = createApp({
    getModel: () => model,
    maxBodyBytes: 100_000,
    bodyTimeout: 500,
    loopback: true,
    stopping: stopping.signal,
    ...app,
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    fetch: (request) => fetch(request),
  });
  return {
    url: server.url.origin,
    model,
    stopping,
    async [Symbol.asyncDispose]() {
      await server.stop(true);
      await model.close();
    },
  };
}

/** A copy of pocket-llama with other files. */
export async function createVariant(files: Readonly<Record<string, object | string>>): Promise<Folder> {
  const folder = copyFolder(demoModel("pocket-llama"));
  for (const [name, content] of Object.entries(files))
    await Bun.write(
      `${folder.path}/${name}`,
      typeof content === "string" ? content : JSON.stringify(content),
    );
  return folder;
}
