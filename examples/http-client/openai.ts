/** @file Streams a completion with OpenAI's client: `bun examples/http-client/openai.ts [URL] [PROMPT]`. */
import OpenAI from "openai";

const [url = "http://127.0.0.1:8000", prompt = "And God said"] = process.argv.slice(2);

// The client insists on a key; the server asks for one only with --api-key. Any model name will do.
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.API_KEY ?? "none" });
const stream = await client.completions.create({
  model: "any",
  prompt,
  max_tokens: 20,
  temperature: 0,
  stream: true,
});
for await (const { choices } of stream) process.stdout.write(choices[0].text);
process.stdout.write("\n");
