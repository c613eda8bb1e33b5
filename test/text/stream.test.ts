import { expect, test } from "bun:test";
import fc from "fast-check";
import { TextStream } from "../../src/text/stream.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";

const tokenizers = demoModels.map((name) => readTokenizer(demoModel(name)));
const someText = fc
  .array(fc.constantFrom("the ", "whale", " ", "é", "漢字", "😀", "👩‍👩‍👧", "\n", "STOP", "ST", "x"), {
    minLength: 1,
    maxLength: 40,
  })
  .map((parts) => parts.join(""));

test("pieces are whole characters and together the text, under any tokenizer", async () => {
  await fc.assert(
    fc.asyncProperty(someText, fc.nat({ max: 2 }), async (text, which) => {
      const tokenizer = tokenizers[which];
      const { ids } = await tokenizer.encode(`a${text}`);
      const stream = new TextStream((some) => tokenizer.decode(some), [], ids.subarray(0, 1));
      let all = await tokenizer.decode(ids.subarray(0, 1));
      for (const id of ids.subarray(1)) {
        const piece = await stream.push(id);
        expect(piece.text).not.toContain("\uFFFD");
        all += piece.text;
      }
      all += (await stream.end()).text;
      expect(all).toBe(await tokenizer.decode(ids));
    }),
    { numRuns: 200 },
  );
});

test("a stop string ends the text, wherever tokens are cut, and no part of it is ever given out", async () => {
  await fc.assert(
    fc.asyncProperty(someText, fc.nat({ max: 2 }), async (text, which) => {
      const tokenizer = tokenizers[which];
      const { ids } = await tokenizer.encode(`a${text}`);
      const whole = (await tokenizer.decode(ids)).slice(1);
      const stream = new TextStream((some) => tokenizer.decode(some), ["STOP", "é x"], ids.subarray(0, 1));
      let all = "";
      let stopped = false;
      for (const id of ids.subarray(1)) {
        const piece = await stream.push(id);
        all += piece.text;
        if ((stopped = piece.stopped)) break;
      }
      if (!stopped) {
        const rest = await stream.end();
        all += rest.text;
        stopped = rest.stopped;
      }
      const ends = ["STOP", "é x"].map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
      // A first token of more than one character takes part of the text with it.
      const first = (await tokenizer.decode(ids.subarray(0, 1))).length - 1;
      if (first > 0) return;
      expect([all, stopped]).toEqual(
        ends.length ? [whole.slice(0, Math.min(...ends)), true] : [whole, false],
      );
    }),
    { numRuns: 200 },
  );
});

test("held tokens come at the end, in one piece", async () => {
  const [tokenizer] = tokenizers;
  const ids = await tokenizer.prompt("And God said, Let there be light");
  const stream = new TextStream((some) => tokenizer.decode(some), [], ids.subarray(0, 4));
  for (const id of ids.subarray(4)) stream.hold(id);
  expect(await stream.end()).toEqual({ text: ", Let there be light", stopped: false });
});
