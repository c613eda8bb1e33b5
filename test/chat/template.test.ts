/** Chat templates; expected texts are those of Python's transformers with the same template. */
import { describe, expect, test } from "bun:test";
import { type Message, readChatTemplate } from "../../src/chat/template.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { createFolder } from "../folder.ts";

const template = `{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' and not loop.first %}{{ raise_exception('system comes first') }}{% endif %}<|{{ message.role | upper }}|>
{{ message['content'] | trim }}{{ eos_token }}
{% endfor %}{%- if add_generation_prompt %}<|ASSISTANT|>
{% endif %}`;
const messages = [
  { role: "system", content: " Be brief. " },
  { role: "user", content: 'Hi, "you"\n' },
];
const rendered = '<s><|SYSTEM|>\nBe brief.</s>\n<|USER|>\nHi, "you"</s>\n<|ASSISTANT|>\n';

const tokens = { bos_token: "<s>", eos_token: { content: "</s>", lstrip: false } };

test("renders the template of tokenizer_config.json, the default one of several, or a template file", async () => {
  using inSettings = createFolder({
    "tokenizer_config.json": JSON.stringify({ ...tokens, chat_template: template }),
  });
  using named = createFolder({
    "tokenizer_config.json": JSON.stringify({
      ...tokens,
      chat_template: [
        { name: "rag", template: "other" },
        { name: "default", template },
      ],
    }),
  });
  const other = JSON.stringify({ ...tokens, chat_template: "other" });
  using inFile = createFolder({
    "tokenizer_config.json": other,
    "chat_template.json": JSON.stringify({ chat_template: "another" }),
    "chat_template.jinja": template,
  });
  using ofProcessor = createFolder({
    "tokenizer_config.json": other,
    "chat_template.json": JSON.stringify({ chat_template: template }),
  });
  using tokensInMap = createFolder({
    "chat_template.jinja": template,
    "special_tokens_map.json": JSON.stringify(tokens),
  });
  for (const { path } of [inSettings, named, inFile, ofProcessor, tokensInMap])
    expect(await (await readChatTemplate(path))!(messages)).toBe(rendered);
});

/** The error of a template. */
async function renderError(
  files: Record<string, string>,
  chat: readonly Message[] = messages,
  milliseconds?: number,
) {
  using folder = createFolder(files);
  const render = (await readChatTemplate(folder.path, milliseconds))!;
  return catchMessage(render(chat));
}

test("an exception in a template is an error with its reason, but without paths", async () => {
  const settings = JSON.stringify({ ...tokens, chat_template: template });
  expect(await renderError({ "tokenizer_config.json": settings }, messages.toReversed())).toBe(
    "system comes first",
  );
  expect(await renderError({ "chat_template.jinja": "{% for %}" })).toMatch(/^[^/]+$/);
  const several = JSON.stringify({ chat_template: [{ name: "rag", template }] });
  expect(await renderError({ "tokenizer_config.json": several })).toBe(
    "the model has no default chat template, only: rag",
  );
});

describe("a template that never ends, or writes too much, is stopped without blocking the caller", () => {
  const doubled =
    "{% set ns = namespace(x=['word']) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  const loop = (body: string) => `{% for i in range(100000) %}${body}{% endfor %}`;
  const cases: [string, string, RegExp][] = [
    ["a long range", "{% for i in range(100000000) %}{% endfor %}", /^range of 100000000; at most 100000/],
    ["loops within loops", loop(loop("{% set x = i %}")), /^it takes more than 2000000 steps$/],
    ["60 MB of text", loop("x".repeat(600)), /^it makes a string of more than 16777216 characters$/],
    [
      "a text that doubles",
      "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      /^it makes a string of more than/,
    ],
    ["a list that doubles", `${doubled}{{ ns.x | tojson }}`, /^it makes a string of more than/],
    [
      "many long texts",
      loop("{% set x = messages[0].content | upper %}"),
      /^it makes strings of more than 536870912 characters in total$/,
    ],
  ];
  for (const [name, jinja, reason] of cases)
    test(name, async () => {
      const long = [{ role: "user", content: "word ".repeat(100_000) }];
      expect(await renderError({ "chat_template.jinja": jinja }, long, 60_000)).toMatch(reason);
    });

  test("after the time limit; the next messages are rendered", async () => {
    // Iterations without an expression are no steps.
    const slow = `{% if messages[0].role == 'system' %}${loop(loop(""))}{% endif %}done`;
    using folder = createFolder({ "chat_template.jinja": slow });
    const render = (await readChatTemplate(folder.path, 1000))!;
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const [late, next] = await Promise.allSettled([render(messages), render(messages.slice(1))]);
    clearInterval(timer);
    expect(String((late as PromiseRejectedResult).reason.message)).toBe("it takes longer than 1000 ms");
    expect(next).toEqual({ status: "fulfilled", value: "done" });
    expect(ticks).toBeGreaterThan(0);
  });
});

test("null content is empty; a name is passed on", async () => {
  using folder = createFolder({
    "chat_template.jinja": "{% for m in messages %}{{ m.role }} {{ m.name }}:{{ m.content }};{% endfor %}",
  });
  const chat: Message[] = [
    { role: "user", name: "Ada", content: "Hi" },
    { role: "assistant", content: null },
  ];
  expect(await (await readChatTemplate(folder.path))!(chat)).toBe("user Ada:Hi;assistant :;");
});

test("a model may have no template; special tokens in a rendered text are single tokens", async () => {
  expect(await readChatTemplate(demoModel("pocket-llama"))).toBeUndefined();
  const ids = [...(await readTokenizer(demoModel("pocket-llama")).encode(rendered)).ids];
  expect(ids[0]).toBe(1);
  expect(ids.filter((id) => id === 2).length).toBe(2);
});
