/** @file The page: prompts and messages, settings, and where the answers go. */
import { describe, generate } from "./api.js";
import { Entry } from "./entry.js";

const at = (id) => document.getElementById(id);
const [main, work, form, prompt, go, stop] = ["work", "form", "prompt", "go", "stop"].reduce(
  (all, id) => [...all, at(id)],
  [document.querySelector("main")],
);

/** Messages of the chat. */
let messages = [];
let abort;
let connected = false;

const isTouch = matchMedia("(hover: none)").matches;
const isApple = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform);
at("go-key").textContent = isTouch ? "" : isApple ? "⌘ Enter" : "Ctrl + Enter";
if (isTouch) for (const keys of document.querySelectorAll(".keys")) keys.textContent = "";
at("alternatives-hint").textContent = isTouch
  ? "Tap a token."
  : "Point at a token, or reach the text with Tab and move between tokens with the arrow keys.";
at("settings").open = matchMedia("(min-width: 56rem)").matches;

const isChat = () => main.dataset.mode === "chat";

/** Screen readers follow the order of the page: a chat's next message is written below the chat. */
function setMode(mode) {
  main.dataset.mode = mode;
  at("text").hidden = isChat();
  for (const id of ["conversation", "clear", "system-field"]) at(id).hidden = !isChat();
  at("prompt-label").textContent = isChat() ? "Message" : "Prompt";
  at("go-label").textContent = isChat() ? "Send" : "Generate";
  if (isChat()) work.append(form);
  else work.prepend(form);
}

/** Shows the model's name, as soon as it is loaded. */
async function connect() {
  try {
    const { name, chat } = await describe(at("key").value);
    if (connected) return;
    connected = true;
    at("model").textContent = name;
    document.title = `${name} – Tributary`;
    at("modes").hidden = !chat;
    if (chat) {
      prompt.value = "";
      setMode("chat");
    }
  } catch (error) {
    if (error.status === 401) at("key-field").hidden = false;
    at("model").textContent = error.status === 401 ? "" : error.message;
    if (error.status === 401 && at("key").value) at("model").textContent = error.message;
    // The model is loading.
    if (error.status === 503) setTimeout(connect, 1000);
  }
}

/** The settings that have a value. */
const settings = () =>
  Object.fromEntries(
    [...at("settings").querySelectorAll("input")]
      .filter(({ value }) => value !== "")
      .map(({ name, value }) => [name, Number(value)]),
  );

/** Streams an answer into an entry. */
async function stream(request, entry) {
  abort?.abort();
  const own = (abort = new AbortController());
  at("error").textContent = "";
  [go.disabled, stop.disabled] = [true, false];
  try {
    for await (const part of generate(request, at("key").value, own.signal)) entry.add(part);
    entry.end();
  } catch (error) {
    const stopped = error.name === "AbortError";
    entry.end(stopped ? "stopped" : "failed");
    if (!stopped) at("error").textContent = error.message;
    if (error.status === 401) at("key-field").hidden = false;
  } finally {
    if (own === abort) [go.disabled, stop.disabled] = [false, true];
  }
}

async function continueText() {
  const entry = new Entry("Text").say(prompt.value, "prompt").begin();
  at("text").replaceChildren(entry.element);
  await stream({ prompt: prompt.value, ...settings() }, entry);
}

async function answer() {
  const content = prompt.value;
  if (!content.trim()) return;
  const question = new Entry("You", "user").say(content);
  const reply = new Entry("Model").begin();
  at("conversation").append(question.element, reply.element);
  prompt.value = "";
  const system = at("system").value.trim() ? [{ role: "system", content: at("system").value }] : [];
  const asked = [...messages, { role: "user", content }];
  const chat = messages;
  reply.element.scrollIntoView({ block: "nearest" });
  await stream({ messages: [...system, ...asked], ...settings() }, reply);
  // A new chat was begun meanwhile.
  if (chat !== messages) return;
  if (reply.text) messages = [...asked, { role: "assistant", content: reply.text }];
  else if (at("error").textContent) {
    // The message can be corrected and sent again.
    question.element.remove();
    reply.element.remove();
    prompt.value ||= content;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!go.disabled) void (isChat() ? answer() : continueText());
});
stop.addEventListener("click", () => abort?.abort());
at("clear").addEventListener("click", () => {
  abort?.abort();
  messages = [];
  at("conversation").replaceChildren();
  prompt.focus();
});
at("modes").addEventListener("change", ({ target }) => setMode(target.value));
at("key").addEventListener("change", connect);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") abort?.abort();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
void connect();
