/**
 * @file The process of an isolated tokenizer: if the library aborts, only this process ends.
 * Run without IPC, it just loads the tokenizer.json on stdin.
 */
import { Tokenizer } from "tokenizers";
import type { CodecResponse, CodecRequest, Setup } from "./isolated.ts";
import { type Codec, createCodec } from "./native.ts";

if (process.send === undefined) Tokenizer.fromString(await Bun.stdin.text());

let codec: Codec | undefined;

process.on("message", async (message: Setup | CodecRequest) => {
  let response: CodecResponse;
  try {
    if ("json" in message) {
      codec = createCodec(Tokenizer.fromString(message.json));
      return;
    }
    const value =
      "text" in message ? codec!.encode(message.text, message.special) : codec!.decode(message.ids);
    response = { value: await value };
  } catch (error) {
    response = { error: (error as Error).message };
  }
  process.send!(response);
});
process.on("disconnect", () => process.exit());
