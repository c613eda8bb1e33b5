/** Where texts end, and that they are the same whole and streamed, with offsets into the text. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { demoModel } from "../close.ts";
import { type Serving, createVariant, serving } from "./serving.ts";

interface Choice {
  readonly text: string;
  readonly finish_reason: string | null;
  readonly stop_reason?: string | number;
  readonly logprobs: { readonly tokens: string[]; readonly text_offset: number[] } | null;
}

/** A completion, whole or joined from its parts. */
async function complete({ url }: Serving, request: object, stream = false): Promise<Choice> {
  const body = JSON.stringify({ temperature: 0, ...request, stream });
  const response = await fetch(`${url}/v1/completions`, { method: "POST", body });
  expect(response.status).toBe(200);
  if (!stream) return ((await response.json()) as { choices: Choice[] }).choices[0];
  const chunks = (await response.text()).split("\n").filter((line) => line.startsWith("data: {"));
  const choices = chunks.map((line) => (JSON.parse(line.slice(6)) as { choices: Choice[] }).choices[0]);
  const { stop_reason } = choices.at(-1)!;
  return {
    text: choices.map(({ text }) => text).join(""),
    finish_reason: choices.at(-1)!.finish_reason,
    ...(stop_reason !== undefined && { stop_reason }),
    logprobs: choices[0].logprobs && {
      tokens: choices.flatMap(({ logprobs }) => logprobs!.tokens),
      text_offset: choices.flatMap(({ logprobs }) => logprobs!.text_offset),
    },
  };
}

async function answer({ url }: Serving, request: object) {
  const body = JSON.stringify({
    temperature: 0,
    messages: [{ role: "user", content: "And God said" }],
    ...request,
  });
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body });
  expect(response.status).toBe(200);
  const { choices } = (await response.json()) as {
    choices: { message: { content: string }; finish_reason: string; stop_reason?: number }[];
  };
  return choices[0];
}

let plain: Serving;
beforeAll(async () => {
  plain = await serving();
});
afterAll(() => plain[Symbol.asyncDispose]());

/** The four bytes of a character, then its first byte again. */
const cutOff = {
  prompt: "hi",
  max_tokens: 5,
  repetition_penalty: 10,
  logit_bias: { 243: 100, 162: 70, 155: 45, 131: 25 },
};

test("a text that ends inside a character is the same whole, streamed, echoed, and before a stop string", async () => {
  for (const stream of [false, true]) {
    expect((await complete(plain, cutOff, stream)).text).toBe("😀\uFFFD");
    expect((await complete(plain, { ...cutOff, echo: true, logprobs: 1 }, stream)).text).toBe("hi😀\uFFFD");
    expect(await complete(plain, { ...cutOff, stop: "\uFFFD" }, stream)).toMatchObject({
      text: "😀",
      finish_reason: "stop",
      stop_reason: "\uFFFD",
    });
    expect((await complete(plain, { ...cutOff, stop: "no such text" }, stream)).text).toBe("😀\uFFFD");
  }
  const tokens = [1, 243, 162, 155, 131, 243];
  const body = JSON.stringify({ tokens });
  const response = await fetch(`${plain.url}/detokenize`, { method: "POST", body });
  expect(await response.json()).toEqual({ prompt: "😀\uFFFD" });
});

test("a character started by the prompt's ids and completed by the text appears once", async () => {
  const rest = { max_tokens: 2, repetition_penalty: 10, logit_bias: { 155: 100, 131: 70 } };
  const prompt = [1, 243, 162];
  for (const stream of [false, true])
    for (const echo of [false, true])
      expect((await complete(plain, { ...rest, prompt, echo }, stream)).text).toBe("😀");
  expect((await complete(plain, { prompt, echo: true, max_tokens: 0 })).text).toBe("\uFFFD");
});

test("text_offset is a token's start in the choice's text", async () => {
  const echo = { echo: true, logprobs: 1, max_tokens: 4 };
  const begun = await complete(plain, { ...echo, prompt: "And God said" });
  expect(begun.logprobs!.tokens.slice(0, 4)).toEqual(["<s>", " And", " God", " said"]);
  expect(begun.logprobs!.text_offset.slice(0, 5)).toEqual([0, 0, 3, 7, 12]);
  // In UTF-16 units, as JavaScript slices it; tokens of parts of a character are at its beginning.
  const emoji = await complete(plain, { ...echo, prompt: "hi 😀 é!" });
  const at = (part: string) => emoji.logprobs!.text_offset[emoji.logprobs!.tokens.indexOf(part)];
  expect([at("bytes:\\xf0"), at("bytes:\\x9f"), at("bytes:\\x80"), at("!")]).toEqual([3, 3, 3, 7]);
  const ids = [...(await plain.model.tokenizer.prompt("hi 😀 é!"))];
  const ofIds = await complete(plain, { ...echo, prompt: ids });
  expect(ofIds).toEqual(emoji);
  for (const stream of [false, true]) {
    const cut = await complete(plain, { ...cutOff, logprobs: 1 }, stream);
    expect(cut.logprobs!.text_offset).toEqual([0, 0, 0, 0, 2]);
    for (const prompt of ["And God said", "hi 😀 é!", "漢字", " leading", "a  b\n"]) {
      const { text, logprobs } = await complete(plain, { ...echo, prompt, max_tokens: 12 }, stream);
      const offsets = logprobs!.text_offset;
      expect(offsets[0]).toBe(0);
      const slices = offsets.map((offset, i) => text.slice(offset, offsets[i + 1]));
      for (const [i, token] of logprobs!.tokens.entries())
        if (i > 1 && !token.startsWith("bytes:") && !logprobs!.tokens[i - 1].startsWith("bytes:"))
          expect(slices[i]).toBe(token);
    }
  }
  // Tokens of a stop string are cut with it.
  const whole = await complete(plain, { prompt: "And God said", max_tokens: 20, logprobs: 0 });
  const stop = whole.text.slice(9, 14);
  const stopped = await complete(plain, { prompt: "And God said", max_tokens: 20, logprobs: 0, stop });
  const index = whole.text.indexOf(stop);
  expect(stopped.text).toBe(whole.text.slice(0, index));
  const { length } = stopped.logprobs!.text_offset;
  expect(stopped.logprobs!.text_offset).toEqual(
    whole.logprobs!.text_offset.slice(0, length).map((offset) => Math.min(offset, index)),
  );
});

test("every end token in the model's settings ends a text, and is not part of it", async () => {
  const whole = await complete(plain, { prompt: "And God said", max_tokens: 20, logprobs: 0 });
  const { tokens, text_offset } = whole.logprobs!;
  // A token that did not occur before.
  const at = tokens.findLastIndex((token, i) => tokens.indexOf(token) === i);
  const end = plain.model.tokenizer.vocabulary.tokens.indexOf(tokens[at].replace(" ", "▁"));
  using folder = await createVariant({ "generation_config.json": { eos_token_id: [2, end] } });
  for (const generationConfig of ["auto", "off"] as const) {
    await using server = await serving({ folder: folder.path, generationConfig });
    for (const stream of [false, true])
      expect(await complete(server, { prompt: "And God said", max_tokens: 20 }, stream)).toMatchObject({
        text: whole.text.slice(0, text_offset[at]),
        finish_reason: "stop",
        stop_reason: end,
      });
  }
});

test("an answer ends at the token that the template puts after answers", async () => {
  const template = "{% for m in messages %}{{ '<s>' + m.content + '\\n<|end|>\\n' }}{% endfor %}";
  const { chat_template: _, ...settings } = await Bun.file(
    join(demoModel("pocket-llama"), "tokenizer_config.json"),
  ).json();
  const tokenizer = await Bun.file(join(demoModel("pocket-llama"), "tokenizer.json")).json();
  const [id, name] = [
    3000,
    Object.keys(tokenizer.model.vocab).find((token) => tokenizer.model.vocab[token] === 3000)!,
  ];
  using folder = await createVariant({
    "chat_template.jinja": template.replace("<|end|>", name),
    "tokenizer_config.json": settings,
    "tokenizer.json": {
      ...tokenizer,
      added_tokens: [
        ...tokenizer.added_tokens,
        {
          id,
          content: name,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        },
      ],
    },
  });
  await using server = await serving({ folder: folder.path });
  const request = { max_tokens: 10, logit_bias: { [id]: 100 } };
  expect(await answer(server, request)).toMatchObject({ message: { content: "" }, finish_reason: "stop" });
  // Completions do not end at that token.
  expect(await complete(server, { prompt: "hi", ...request })).toMatchObject({ finish_reason: "length" });
});

test("generation_config.json gives the sampling defaults, unless turned off", async () => {
  const settings = {
    eos_token_id: 2,
    do_sample: true,
    temperature: 0.7,
    top_k: 5,
    top_p: 0.9,
    repetition_penalty: 1.3,
  };
  using folder = await createVariant({ "generation_config.json": settings });
  await using server = await serving({ folder: folder.path });
  const request = { prompt: "The sea", max_tokens: 20, seed: 7 };
  const { eos_token_id: _, do_sample: __, ...given } = settings;
  const asked = { ...request, temperature: undefined };
  const expected = await complete(plain, { ...request, ...given });
  expect(expected.text).not.toBe((await complete(plain, { ...request, temperature: 1 })).text);
  expect((await complete(server, asked)).text).toBe(expected.text);
  // A request overrides them, also with the neutral value.
  const neutral = { ...request, temperature: 1, top_k: 0, top_p: 1, repetition_penalty: 1 };
  expect((await complete(server, neutral)).text).toBe((await complete(plain, neutral)).text);
  await using off = await serving({ folder: folder.path, generationConfig: "off" });
  expect((await complete(off, asked)).text).toBe(
    (await complete(plain, { ...request, temperature: 1 })).text,
  );
  using decided = await createVariant({
    "generation_config.json": { do_sample: false, temperature: 0.7, top_k: -1 },
  });
  await using sure = await serving({ folder: decided.path });
  expect((await complete(sure, asked)).text).toBe(
    (await complete(plain, { ...request, temperature: 0 })).text,
  );
});
