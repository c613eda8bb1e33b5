/** lm-evaluation-harness: its recorded requests, answers parsed as it parses them, against PyTorch. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { serving } from "./serving.ts";

interface Logprobs {
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
}

const fixture = await Bun.file(join(import.meta.dir, "../fixtures/harness/requests.json")).json();

test("log-likelihoods match a direct forward pass, greedy flags are exact, arrays have the expected lengths", async () => {
  await using server = await serving();
  const ask = async (request: object) => {
    const body = JSON.stringify(request);
    const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body });
    expect(response.status).toBe(200);
    return (await response.json()) as { choices: { index: number; text: string; logprobs: Logprobs }[] };
  };
  const answers = new Map<string, Logprobs>();
  const texts: string[] = [];
  for (const request of fixture.requests) {
    const { choices } = await ask(request);
    for (const { index, text, logprobs } of choices.sort((a, b) => a.index - b.index)) {
      if (!request.echo) texts.push(text);
      else {
        const prompt: number[] = request.prompt[index];
        expect(logprobs.token_logprobs.length).toBe(prompt.length + 1);
        expect(logprobs.top_logprobs.length).toBe(prompt.length + 1);
        expect([logprobs.token_logprobs[0], logprobs.top_logprobs[0]]).toEqual([null, null]);
        answers.set(prompt.join(), logprobs);
      }
    }
  }
  expect(texts).toEqual(fixture.generated);
  for (const { ids, context, logprob, greedy } of fixture.expected) {
    const { token_logprobs, top_logprobs } = answers.get(ids.join())!;
    const own = token_logprobs.slice(context, -1) as number[];
    expect(Math.abs(own.reduce((sum, value) => sum + value, 0) - logprob)).toBeLessThan(1e-4);
    const flags = own.map((value, i) => value === Math.max(...Object.values(top_logprobs[context + i]!)));
    expect(flags.every(Boolean)).toBe(greedy);
  }
  expect(fixture.expected.filter(({ greedy }: { greedy: boolean }) => greedy).length).toBeGreaterThan(3);
});
