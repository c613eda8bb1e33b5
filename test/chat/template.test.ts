/** Chat templates of models; what is expected is what Python's transformers makes of the same template. */
import { expect, test } from "bun:test";
import { readChatTemplate } from "../../src/chat/template.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { folderOf } from "../folder.ts";

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

test("the template of tokenizer_config.json, of one of several, or of chat_template.jinja is rendered", async () => {
  using inSettings = folderOf({
    "tokenizer_config.json": JSON.stringify({ ...tokens, chat_template: template }),
  });
  using named = folderOf({
    "tokenizer_config.json": JSON.stringify({
      ...tokens,
      chat_template: [
        { name: "rag", template: "other" },
        { name: "default", template },
      ],
    }),
  });
  using alone = folderOf({
    "tokenizer_config.json": JSON.stringify({ ...tokens, chat_template: "other" }),
    "chat_template.jinja": template,
  });
  for (const { path } of [inSettings, named, alone])
    expect((await readChatTemplate(path))!(messages)).toBe(rendered);
});

test("what a template refuses is an error that names the file", async () => {
  using one = folderOf({ "tokenizer_config.json": JSON.stringify({ ...tokens, chat_template: template }) });
  const render = (await readChatTemplate(one.path))!;
  expect(() => render(messages.toReversed())).toThrow(
    /tokenizer_config\.json: chat_template: .*system comes first/,
  );
  using broken = folderOf({ "chat_template.jinja": "{% for %}" });
  const unreadable = (await readChatTemplate(broken.path))!;
  expect(() => unreadable(messages)).toThrow(/chat_template\.jinja: /);
});

test("a model without a template has none; special tokens of a rendered one are single tokens", async () => {
  expect(await readChatTemplate(demoModel("pocket-llama"))).toBeUndefined();
  const ids = [...(await readTokenizer(demoModel("pocket-llama")).encode(rendered)).ids];
  expect(ids[0]).toBe(1);
  expect(ids.filter((id) => id === 2).length).toBe(2);
});
