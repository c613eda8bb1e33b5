/** @file Requests to the server, and their streamed answers in one form for texts and chats. */

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const headers = (key) => ({
  "Content-Type": "application/json",
  ...(key && { Authorization: `Bearer ${key}` }),
});

async function check(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => undefined);
  throw new ApiError(
    body?.error?.message ?? `the server answered with status ${response.status}`,
    response.status,
  );
}

/** The model's name, and whether it has a chat template. */
export async function describe(key) {
  const get = async (path) => (await check(await fetch(path, { headers: headers(key) }))).json();
  const [{ data }, { chat_template }] = [await get("v1/models"), await get("tokenizer_info")];
  return { name: data[0].id, chat: chat_template };
}

/** The values of server-sent events. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines)
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
  }
}

/** The tokens of a part of a completion. */
const completionTokens = ({ tokens, token_logprobs, top_logprobs }) =>
  tokens.map((text, i) => ({
    text,
    logprob: token_logprobs[i],
    top: Object.entries(top_logprobs[i] ?? {}).map(([other, logprob]) => ({ text: other, logprob })),
  }));

/** The tokens of a part of a chat's answer. */
const chatTokens = ({ content }) =>
  content.map(({ token, logprob, top_logprobs }) => ({
    text: token,
    logprob,
    top: top_logprobs.map((other) => ({ text: other.token, logprob: other.logprob })),
  }));

/**
 * The parts of a text as they arrive: {text, tokens: {text, logprob, top}[], finish, stopReason}.
 * @param request with a prompt or messages
 */
export async function* generate(request, key, signal) {
  const isChat = "messages" in request;
  const logprobs = isChat ? { logprobs: true, top_logprobs: 5 } : { logprobs: 5 };
  const response = await fetch(isChat ? "v1/chat/completions" : "v1/completions", {
    method: "POST",
    headers: headers(key),
    body: JSON.stringify({ ...request, ...logprobs, stream: true }),
    signal,
  });
  for await (const event of events(await check(response))) {
    if (event.error) throw new ApiError(event.error.message, 500);
    for (const { text, delta, logprobs, finish_reason, stop_reason } of event.choices)
      yield {
        text: text ?? delta.content ?? "",
        tokens: logprobs ? (isChat ? chatTokens : completionTokens)(logprobs) : [],
        finish: finish_reason,
        stopReason: stop_reason,
      };
  }
}
