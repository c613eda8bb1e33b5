import { expect, test } from "bun:test";
import { countBlock } from "../../streams/stages/pack.ts";
import { TeacherStatistics } from "../../streams/run/statistics.ts";
import type { Fused } from "../../streams/records.ts";
import { blockAt } from "./place.ts";

/** A block's token count, and per teacher: credit, aligned, multiToken, dropped, tail, nll per byte, bytes. */
function fused(domain: string, length: number, unaligned: number, teachers: number[][]): Fused {
  return {
    ...blockAt(0, domain),
    ids: new Int32Array(length),
    targets: { offsets: new Int32Array(length + 1), ids: new Int32Array(0), values: new Float32Array(0) },
    weights: new Float32Array(length),
    teacherShares: new Float32Array(0),
    credit: teachers.map(([won]) => won),
    unaligned,
    teachers: teachers.map(([, aligned, multiToken, dropped, tail, nllPerByte, bytes], teacher) => ({
      name: `${teacher}`,
      rows: { offsets: new Int32Array(0), ids: new Int32Array(0), values: new Float32Array(0) },
      aligned,
      multiToken,
      dropped,
      tail,
      nll: 99,
      nllPerByte,
      bytes,
      nlls: new Float32Array(0),
    })),
  };
}

function collectStatistics(blocks: readonly Fused[]): TeacherStatistics {
  const statistics = new TeacherStatistics(["one", "two"]);
  for (const block of blocks) statistics.add(countBlock(block));
  return statistics;
}

/** Rounded, with null, where nothing is aligned, as 0. */
const rounded = (value: number | null) => Number((value ?? 0).toFixed(9));

/** Eight positions and four of the sea, then eight of speech; a teacher whose first tokens are longer predicts less. */
const blocks = [
  fused("sea", 9, 1, [
    [5, 6, 2, 0.5, 1.5, 0.7, 10],
    [2, 4, 0, 0.25, 0.5, 1.4, 9],
  ]),
  fused("sea", 5, 0, [
    [1, 2, 1, 0.25, 0.5, 1.4, 7],
    [3, 4, 3, 0.75, 1.5, 0.7, 5],
  ]),
  fused("speech", 9, 4, [
    [0, 0, 0, 0, 0, 2, 8],
    [4, 8, 4, 2, 4, 1, 6],
  ]),
];

test("a summary has shares of predicted positions, and means per aligned position and per byte", () => {
  const { withoutTeacher, teachers } = collectStatistics(blocks).summary();
  const found = Object.entries(teachers).map(([name, summary]) => [
    name,
    Object.fromEntries(Object.entries(summary).map(([field, value]) => [field, rounded(value)])),
  ]);
  expect(withoutTeacher).toBe(5 / 20);
  const nats = (...each: [perByte: number, bytes: number][]) =>
    rounded(
      each.reduce((sum, [perByte, bytes]) => sum + perByte * bytes, 0) /
        each.reduce((sum, [, bytes]) => sum + bytes, 0),
    );
  expect(Object.fromEntries(found)).toEqual({
    one: {
      won: 6 / 20,
      aligned: 8 / 20,
      spelled: 3 / 20,
      dropped: 0.75 / 8,
      tail: 2 / 8,
      nllPerByte: nats([0.7, 10], [1.4, 7], [2, 8]),
    },
    two: {
      won: 9 / 20,
      aligned: 16 / 20,
      spelled: 7 / 20,
      dropped: 3 / 16,
      tail: 6 / 16,
      nllPerByte: nats([1.4, 9], [0.7, 5], [1, 6]),
    },
  });
});

test("a block without a predicted token changes nothing", () => {
  const nothing = [0, 1].map(() => [0, 0, 0, 0, 0, 0, 0]);
  for (const length of [1, 0])
    expect(collectStatistics([...blocks, fused("sea", length, 0, nothing)]).summary()).toEqual(
      collectStatistics(blocks).summary(),
    );
});

test("each domain has its own summary, in order of appearance", () => {
  const statistics = collectStatistics(blocks);
  const domains = statistics.byDomain();
  expect(Object.keys(domains)).toEqual(["sea", "speech"]);
  expect(domains.sea).toEqual(collectStatistics(blocks.slice(0, 2)).summary());
  expect(domains.speech.withoutTeacher).toBe(4 / 8);
  const { one, two } = domains.speech.teachers;
  expect(one).toMatchObject({ won: 0, aligned: 0, spelled: 0, nllPerByte: 2 });
  expect([one.dropped, one.tail].map(rounded)).toEqual([0, 0]);
  expect(two).toEqual({ won: 0.5, aligned: 1, spelled: 0.5, dropped: 0.25, tail: 0.5, nllPerByte: 1 });
});

test("without text nothing is measured", () => {
  const statistics = collectStatistics([]);
  const { withoutTeacher, teachers } = statistics.summary();
  const all = [withoutTeacher, ...Object.values(teachers).flatMap((teacher) => Object.values(teacher))];
  expect(all).toEqual(Array<null>(13).fill(null));
  expect(statistics.byDomain()).toEqual({});
});
