/** @file A tokenizer in a process of its own, since the library aborts the process that a damaged or hostile one is in. */
import type { Codec, NativeEncoding } from "./native.ts";

/** What the process is told first: its tokenizer.json. That has no answer. */
export interface Setup {
  readonly json: string;
}
export type CodecRequest =
  { readonly text: string; readonly special: boolean } | { readonly ids: readonly number[] };
export type CodecResponse = { readonly value: unknown } | { readonly error: string };

const program = new URL("./isolated-process.ts", import.meta.url).pathname;

/** A text that takes longer will not end; what is more than a million characters takes some seconds. */
const timeLimit = (characters: number) => 10_000 + Math.ceil(characters / 100);

/** Why a process ended, of all that it wrote about that. */
const reasonOf = (stderr: string) =>
  /panicked at [^\n]*\n([^\n]*)/.exec(stderr)?.[1] ?? "it takes too long, or too much memory";

/**
 * Loads a tokenizer.json in another process.
 * @throws naming the file, if that process does not outlive it.
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
  throw new Error(`${path}: cannot be read as a tokenizer: ${error ?? reasonOf(text)}`);
}

interface Isolated {
  readonly child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  /** Resolves with the next answer, or the reason for which there will be none. */
  next: PromiseWithResolvers<CodecResponse>;
}

export class IsolatedCodec implements Codec {
  readonly #path: string;
  readonly #json: string;
  #isolated: Isolated | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param path of the file that errors name */
  constructor(path: string, json: string) {
    this.#path = path;
    this.#json = json;
  }

  encode(text: string, special: boolean): Promise<NativeEncoding> {
    return this.#ask({ text, special }, text.length) as Promise<NativeEncoding>;
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.#ask({ ids }, ids.length) as Promise<string>;
  }

  /** One after the other, so that it is known what ends the process. */
  #ask(question: CodecRequest, characters: number): Promise<unknown> {
    const answer = this.#last.then(async () => {
      const isolated = (this.#isolated ??= this.#start());
      isolated.next = Promise.withResolvers();
      isolated.child.ref();
      isolated.child.send(question);
      const late = setTimeout(() => isolated.child.kill("SIGKILL"), timeLimit(characters));
      const result = await isolated.next.promise;
      clearTimeout(late);
      isolated.child.unref();
      if ("value" in result) return result.value;
      throw new Error(
        `${this.#path}: the tokenizer fails on a text of ${characters} characters: ${result.error}`,
      );
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  #start(): Isolated {
    const child = Bun.spawn([process.execPath, program], {
      serialization: "advanced",
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      ipc: (answer: CodecResponse) => isolated.next.resolve(answer),
    });
    const isolated: Isolated = { child, next: Promise.withResolvers() };
    void child.exited.then(async () => {
      if (this.#isolated === isolated) this.#isolated = undefined;
      isolated.next.resolve({ error: reasonOf(await new Response(child.stderr).text()) });
    });
    child.send({ json: this.#json } satisfies Setup);
    return isolated;
  }
}
