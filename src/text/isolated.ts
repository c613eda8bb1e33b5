/** @file A tokenizer in a process of its own, since the library aborts its process on damaged or hostile ones. */
import type { Codec, NativeEncoding } from "./native.ts";

/** The first message to the process: its tokenizer.json. It has no response. */
export interface Setup {
  readonly json: string;
}
export type CodecRequest =
  { readonly text: string; readonly special: boolean } | { readonly ids: readonly number[] };
export type CodecResponse = { readonly value: unknown } | { readonly error: string };

const program = new URL("./isolated-process.ts", import.meta.url).pathname;

/** Milliseconds after which a text is assumed never to finish; a million characters take some seconds. */
const timeLimit = (characters: number) => 10_000 + Math.ceil(characters / 100);

/** Extracts the reason for a crash from the process's stderr. */
const parseCrash = (stderr: string) =>
  /panicked at [^\n]*\n([^\n]*)/.exec(stderr)?.[1] ?? "it takes too long or too much memory";

/**
 * Loads a tokenizer.json in another process.
 * @throws naming the file, if that process fails or crashes.
 */
export function tryToLoad(path: string, json: string): void {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, program], {
    stdin: Buffer.from(json),
    stdout: "ignore",
    timeout: timeLimit(json.length),
  });
  if (exitCode === 0) return;
  const text = stderr.toString();
  const error = /^\s*error: (.*)$/m.exec(text)?.[1];
  throw new Error(`${path}: cannot be read as a tokenizer: ${error ?? parseCrash(text)}`);
}

interface CodecProcess {
  readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  /** Resolves with the next response, or with the reason for a crash. */
  response: PromiseWithResolvers<CodecResponse>;
}

/** A codec whose process is started with the first request, and again after a crash. */
export class IsolatedCodec implements Codec {
  readonly #path: string;
  readonly #json: string;
  #process: CodecProcess | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param path the file that errors name */
  constructor(path: string, json: string) {
    this.#path = path;
    this.#json = json;
  }

  encode(text: string, special: boolean): Promise<NativeEncoding> {
    return this.#request({ text, special }, text.length) as Promise<NativeEncoding>;
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.#request({ ids }, ids.length) as Promise<string>;
  }

  /** Sends one request at a time, so that a crash is known to be the current text's. */
  #request(request: CodecRequest, characters: number): Promise<unknown> {
    const response = this.#last.then(async () => {
      const running = (this.#process ??= this.#start());
      running.response = Promise.withResolvers();
      running.child.ref();
      running.child.send(request);
      const timer = setTimeout(() => running.child.kill("SIGKILL"), timeLimit(characters));
      const result = await running.response.promise;
      clearTimeout(timer);
      running.child.unref();
      if ("value" in result) return result.value;
      throw new Error(
        `${this.#path}: the tokenizer fails on a text of ${characters} characters: ${result.error}`,
      );
    });
    this.#last = response.catch(() => {});
    return response;
  }

  #start(): CodecProcess {
    const child = Bun.spawn([process.execPath, program], {
      serialization: "advanced",
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      ipc: (response: CodecResponse) => started.response.resolve(response),
    });
    const started: CodecProcess = { child, response: Promise.withResolvers() };
    void child.exited.then(async () => {
      if (this.#process === started) this.#process = undefined;
      started.response.resolve({ error: parseCrash(await new Response(child.stderr).text()) });
    });
    child.send({ json: this.#json } satisfies Setup);
    return started;
  }
}
