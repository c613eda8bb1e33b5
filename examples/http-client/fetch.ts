/** @file Streams a completion with nothing but fetch: `bun examples/http-client/fetch.ts [URL] [PROMPT]`. */
const [url = "http://127.0.0.1:8000", prompt = "And God said"] = process.argv.slice(2);

const response = await fetch(`${url}/v1/completions`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ prompt, max_tokens: 20, temperature: 0, stream: true }),
});
if (!response.ok) throw new Error(`${response.status}: ${(await response.json()).error.message}`);

// Server-sent events: blocks of lines with an empty line behind each. A block may arrive in pieces.
let rest = "";
for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
  const events = (rest + part).split("\n\n");
  rest = events.pop()!;
  for (const event of events) {
    // Comments, which begin with a colon, only keep the connection alive.
    if (!event.startsWith("data: ") || event === "data: [DONE]") continue;
    const { choices, error } = JSON.parse(event.slice("data: ".length));
    if (error) throw new Error(error.message);
    process.stdout.write(choices[0].text);
  }
}
process.stdout.write("\n");

export {};
