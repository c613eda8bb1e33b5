/** @file The command `bun run serve`. */
import { onStop } from "../src/cli/stop.ts";
import { resolveModelFolder } from "../src/hub/snapshot.ts";
import { createApp } from "./app.ts";
import { ModelService } from "./model-service.ts";
import { type Settings, help, readSettings } from "./options.ts";

async function serve(settings: Settings): Promise<void> {
  let model: ModelService | undefined;
  const stopping = new AbortController();
  const app = createApp({ ...settings.app, getModel: () => model, stopping: stopping.signal });
  const server = Bun.serve({
    hostname: settings.host,
    port: settings.port,
    idleTimeout: 255,
    fetch(request, server) {
      // No timeout: an answer may have to wait for a slot. Bodies have a limit of their own.
      server.timeout(request, 0);
      return app.fetch(request);
    },
  });
  const stop = async () => {
    stopping.abort();
    process.stderr.write("stopping once running requests have ended; press Ctrl-C again to stop at once\n");
    const deadline = performance.now() + settings.grace;
    while (server.pendingRequests > 0 && performance.now() < deadline) await Bun.sleep(20);
    await server.stop(true);
    await model?.close();
    process.exit(0);
  };
  onStop(() => void stop());

  const { id, ...options } = settings.model;
  model = await ModelService.load({ ...options, folder: await resolveModelFolder(id) });
  const { context, device } = model.engine;
  process.stderr.write(
    `${model.name} on ${device}: ${server.url} (${options.slots} texts at a time, up to ${context} tokens each)\n`,
  );
}

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings) await serve(settings);
  else console.log(help);
} catch (error) {
  process.stderr.write(`serve: ${(error as Error).message}\n`);
  process.exit(1);
}
