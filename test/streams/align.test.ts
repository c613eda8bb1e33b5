import { expect, test } from "bun:test";
import type { Scored } from "../../streams/records.ts";
import { align } from "../../streams/stages/align.ts";
import { rows } from "../fusion/rows.ts";
import { placeOf } from "./place.ts";

test("each teacher is read in its own tokens, and is as good as its nats in the unit, per byte, and at each token", async () => {
  const encoding = (...ends: number[]) => ({ ids: Int32Array.from(ends), ends: Int32Array.from(ends) });
  const scores = (...nll: number[]) => ({
    nll: Float32Array.from(nll),
    topIds: new Int32Array(0),
    topLogProbs: new Float32Array(0),
  });
  // "ab|cdef" for the target, "ab|cd|ef" and "a|bcdef" for the sources; the scores are in another order.
  const scored: Scored = {
    ...placeOf(0),
    encodings: [encoding(2, 6), encoding(2, 4, 6), encoding(1, 6)],
    scores: [scores(5, 0), scores(2, 6, 0)],
  };
  const heard: unknown[] = [];
  const listen = (name: string) => ({
    align: (...args: unknown[]) => {
      heard.push([name, ...args]);
      return { rows: rows([], []), aligned: 1, multiToken: 0, dropped: 0, tail: 0 };
    },
  });
  const teachers = [
    { score: 1, encoding: 1, ...listen("first") },
    { score: 0, encoding: 2, ...listen("second") },
  ];
  async function* stream() {
    yield scored;
  }
  const of = async (unit: "byte" | "token") => {
    const [{ target, teachers: aligned }] = await Array.fromAsync(align(stream(), teachers, unit));
    expect(target).toBe(scored.encodings[0]);
    return aligned.map(({ nll, nllPerByte, bytes, nlls }) => [nll, nllPerByte, bytes, ...nlls]);
  };
  // 8 nats for 4 bytes in 2 tokens, all of them "cdef"; 5 nats for 5 bytes in 1 token.
  expect(await of("byte")).toEqual([
    [2, 2, 4, 2, 2],
    [1, 1, 5, 1, 1],
  ]);
  expect(await of("token")).toEqual([
    [4, 2, 4, 2, 2],
    [5, 1, 5, 1, 1],
  ]);
  expect(heard.slice(0, 2)).toEqual([
    ["first", scored.encodings[1], scored.encodings[0], scored.scores[1]],
    ["second", scored.encodings[2], scored.encodings[0], scored.scores[0]],
  ]);
});
