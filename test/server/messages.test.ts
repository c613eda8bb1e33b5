/** Messages as clients send them back, and how templates render them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import OpenAI, { BadRequestError } from "openai";
import { createVariant, serving } from "./serving.ts";

const named =
  "{{ bos_token }}{% for m in messages %}{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}: {{ m.content }}\n{% endfor %}";
const strict =
  "{{ bos_token }}{% for m in messages %}{% if m.role not in ['system', 'user', 'assistant'] %}" +
  "{{ raise_exception('Unknown role: ' + m.role) }}{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
const knowing =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'developer' %}[{{ m.content }}]{% else %}{{ m.content }}{% endif %}\n{% endfor %}";

/** A server of a model with this template, and the official client. */
async function chatting(template: string) {
  const folder = await createVariant({ "chat_template.jinja": template });
  const server = await serving({ folder: folder.path, slots: 2 });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "any", maxRetries: 0 });
  return {
    client,
    answer: (messages: object[], more = {}) =>
      client.chat.completions.create({
        model: "any",
        max_tokens: 4,
        temperature: 0,
        ...more,
        messages: messages as never,
      }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

type Chatting = Awaited<ReturnType<typeof chatting>>;
let chat: Chatting;
let strictChat: Chatting;
beforeAll(async () => {
  chat = await chatting(named);
  strictChat = await chatting(strict);
});
afterAll(async () => {
  await chat[Symbol.asyncDispose]();
  await strictChat[Symbol.asyncDispose]();
});

const user = { role: "user", content: "And God said" };

test("an answer can be sent back as received, with the fields that clients and servers add", async () => {
  const { choices } = await chat.answer([user]);
  const again = { role: "user", content: "And then" };
  const expected = await chat.answer([
    user,
    { role: "assistant", content: choices[0].message.content },
    again,
  ]);
  const { content } = choices[0].message;
  const variants: object[] = [
    choices[0].message,
    { role: "assistant", content, refusal: null, annotations: [], audio: null, function_call: null },
    { role: "assistant", content, tool_calls: null },
    { role: "assistant", content, tool_calls: [], reasoning_content: null, reasoning: "" },
    { role: "assistant", content, type: "text" },
    { role: "assistant", content: [{ type: "text", text: content, cache_control: { type: "ephemeral" } }] },
  ];
  for (const variant of variants)
    expect((await chat.answer([user, variant, again])).choices).toEqual(expected.choices);

  const empty = await chat.answer([user, { role: "assistant", content: "" }, again]);
  for (const variant of [{ content: null }, {}, { content: [] }])
    expect((await chat.answer([user, { role: "assistant", ...variant }, again])).choices).toEqual(
      empty.choices,
    );
});

test("a name reaches the template; unsupported content is rejected by its path", async () => {
  const bob = await chat.answer([{ ...user, name: "Bob" }]);
  expect(bob.usage!.prompt_tokens).toBeGreaterThan((await chat.answer([user])).usage!.prompt_tokens);
  const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
  for (const [message, param, code] of [
    [{ role: "assistant", content: "x", tool_calls: [call] }, "tool_calls", "unsupported_field"],
    [{ role: "assistant", content: "x", refusal: "No." }, "refusal", "unsupported_field"],
    [{ role: "tool", content: "x", tool_call_id: "1" }, "tool_call_id", "unsupported_field"],
    [{ role: "user", content: null }, "content", "invalid_value"],
    [
      { role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] },
      "content.0.type",
      "unsupported_field",
    ],
  ] as const) {
    const error = await chat.answer([message]).catch((e: BadRequestError) => e);
    expect(error).toMatchObject({ status: 400, param: `messages.0.${param}`, code });
  }
});

test("developer becomes system unless the template knows the role", async () => {
  const rest = [user];
  for (const { answer } of [chat, strictChat]) {
    const system = await answer([{ role: "system", content: "Be brief." }, ...rest]);
    const developer = await answer([{ role: "developer", content: "Be brief." }, ...rest]);
    expect([developer.choices, developer.usage]).toEqual([system.choices, system.usage]);
  }
  await using knowingChat = await chatting(knowing);
  const system = await knowingChat.answer([{ role: "system", content: "Be brief." }, ...rest]);
  const developer = await knowingChat.answer([{ role: "developer", content: "Be brief." }, ...rest]);
  expect(developer.usage!.prompt_tokens).toBeGreaterThan(system.usage!.prompt_tokens);
});

test("a template's exception is reported in its own words, without the server's paths", async () => {
  const error = await strictChat.answer([{ role: "critic", content: "x" }]).catch((e: BadRequestError) => e);
  expect(error).toBeInstanceOf(BadRequestError);
  const { message, code } = error as BadRequestError;
  expect(code).toBe("refused_by_template");
  expect(message).toContain("Unknown role: critic");
  expect(message).not.toContain("/");
});

test("each choice of a streamed answer begins with only the role; log-probabilities are sent once", async () => {
  const options = { n: 2, logprobs: true, top_logprobs: 1, max_tokens: 6 };
  const whole = await chat.answer([user], options);
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  const stream = chat.client.chat.completions.stream({
    model: "any",
    temperature: 0,
    ...options,
    messages: [user as never],
  });
  for await (const chunk of stream) chunks.push(chunk);
  for (const index of [0, 1]) {
    const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
    expect(own[0]).toMatchObject({
      delta: { role: "assistant", content: "" },
      logprobs: null,
      finish_reason: null,
    });
    expect(own.slice(1).every(({ delta }) => delta.role === undefined)).toBe(true);
  }
  const { choices } = await stream.finalChatCompletion();
  expect(choices.map(({ logprobs }) => logprobs!.content)).toEqual(
    whole.choices.map(({ logprobs }) => logprobs!.content),
  );
  expect(choices.map(({ message }) => message.content)).toEqual(
    whole.choices.map(({ message }) => message.content),
  );
});

for (const [what, template, message] of [
  [
    "loops endlessly",
    "{% for i in range(90000) %}{% for j in range(90000) %}{{ '' }}{% endfor %}{% endfor %}",
    /^400 messages: .*(steps|longer)/,
  ],
  [
    "writes endlessly",
    "{% for i in range(90000) %}{{ '0123456789' * 100 }}{% for m in messages %}{{ m.content * 1000 }}{% endfor %}{% endfor %}",
    /^400 messages: /,
  ],
] as const)
  test(`a template that ${what} is rejected, and other requests are answered meanwhile`, async () => {
    await using hostile = await chatting(template);
    const refused = hostile.answer([user]).then(
      () => "no error",
      (error: Error) => error.message,
    );
    let answered = 0;
    const others = async () => {
      while ((await Promise.race([refused, Promise.resolve(undefined)])) === undefined) {
        await hostile.client.models.list();
        answered++;
      }
    };
    await others();
    expect(await refused).toMatch(message);
    expect(await refused).not.toContain("/");
    expect(answered).toBeGreaterThan(0);
  });
