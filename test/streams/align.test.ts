import { expect, test } from "bun:test";
import type { Scored } from "../../streams/records.ts";
import { align } from "../../streams/stages/align.ts";
import { rows } from "../fusion/rows.ts";
import { blockAt } from "./place.ts";

test("each teacher is aligned from its own tokens, and measured in the unit, per byte and per token", async () => {
  const encoding = (...ends: number[]) => ({ ids: Int32Array.from(ends), ends: Int32Array.from(ends) });
  const scores = (...nll: number[]) => ({
    nll: Float32Array.from(nll),
    topIds: new Int32Array(0),
    topLogProbs: new Float32Array(0),
  });
  // "ab|cdef" for the target, "ab|cd|ef" and "a|bcdef" for the teachers.
  const first = { name: "first", encoding: encoding(2, 4, 6), scores: scores(2, 6, 0) };
  const second = { name: "second", encoding: encoding(1, 6), scores: scores(5, 0) };
  const unused = { name: "unused", encoding: encoding(6), scores: scores(0) };
  const scored: Scored = { ...blockAt(0), target: encoding(2, 6), teachers: [first, unused, second] };
  const calls: unknown[] = [];
  const aligners = new Map(
    ["second", "first"].map((name) => [
      name,
      (...args: unknown[]) => {
        calls.push([name, ...args]);
        return { rows: rows([], []), aligned: 1, multiToken: 0, dropped: 0, tail: 0 };
      },
    ]),
  );
  async function* stream() {
    yield scored;
  }
  const of = async (unit: "byte" | "token") => {
    const [{ target, teachers: aligned }] = await Array.fromAsync(align(stream(), aligners, unit));
    expect(target).toBe(scored.target);
    expect(aligned.map(({ name }) => name)).toEqual(["first", "second"]);
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
  expect(calls.slice(0, 2)).toEqual([
    ["first", first.encoding, scored.target, first.scores],
    ["second", second.encoding, scored.target, second.scores],
  ]);
});
