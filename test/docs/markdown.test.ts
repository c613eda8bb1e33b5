import { expect, test } from "bun:test";
import { code, markdownTable } from "../../src/docs/markdown.ts";

test("a table has columns of one width each, a rule under its header, and escaped pipes", () => {
  expect(
    markdownTable([
      ["Setting", "Default"],
      ["map", code("a|b")],
    ]).split("\n"),
  ).toEqual(["| Setting | Default  |", "| ------- | -------- |", '| map     | `"a\\|b"` |']);
});

test("code is JSON", () => expect(code({ kind: "bytes" })).toBe('`{"kind":"bytes"}`'));
