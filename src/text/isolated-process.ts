/**
 * @file A process for a tokenizer over which the library may abort: then this process ends, and no other.
 * Alone, it only tries to load the tokenizer.json on stdin.
 */
import { Tokenizer } from "tokenizers";
import type { CodecResponse, CodecRequest, Setup } from "./isolated.ts";
import { type Codec, createCodec } from "./native.ts";

if (process.send === undefined) Tokenizer.fromString(await Bun.stdin.text());

let codec: Codec | undefined;

process.on("message", async (message: Setup | CodecRequest) => {
  let answer: CodecResponse;
  try {
    if ("json" in message) {
      codec = createCodec(Tokenizer.fromString(message.json));
      return;
    }
    const value =
      "text" in message ? codec!.encode(message.text, message.special) : codec!.decode(message.ids);
    answer = { value: await value };
  } catch (error) {
    answer = { error: (error as Error).message };
  }
  process.send!(answer);
});
process.on("disconnect", () => process.exit());
