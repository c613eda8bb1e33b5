/** The names of models in reports. */
import { describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../streams/run/run.ts";
import { nameModels } from "../../streams/models/sources.ts";
import { demoModel } from "../close.ts";
import { useFolder } from "../folder.ts";
import { smallConfig } from "./small-run.ts";

const folder = useFolder();

describe("a name", () => {
  for (const [paths, names] of [
    [
      ["/m/llama", "/m/mpt"],
      ["llama", "mpt"],
    ],
    [
      ["/runs/a/model", "/runs/b/model", "/runs/c"],
      ["a/model", "b/model", "c"],
    ],
    [
      ["/x/a/model", "/y/a/model/", "/y/b/model"],
      ["x/a/model", "y/a/model", "b/model"],
    ],
    [
      ["/model", "/a/model"],
      ["model", "a/model"],
    ],
    [
      ["/m/llama", "/m/llama (frozen)"],
      ["llama", "m/llama (frozen)"],
    ],
  ] as const)
    test(`distinguishes ${paths.join(", ")}`, () => expect(nameModels(paths)).toEqual([...names]));

  test("that is given stays, and derived names avoid it", () => {
    expect(nameModels(["/m/t", { path: "/a/model", name: "model" }, "/b/model"])).toEqual([
      "t",
      "model",
      "b/model",
    ]);
    expect(
      nameModels(["/m/t", { path: "/a", name: "a: in 8 bits, 50 % off" }, { path: "/a", name: "モデル" }]),
    ).toEqual(["t", "a: in 8 bits, 50 % off", "モデル"]);
  });

  for (const [models, message] of [
    [["/m/t", "/a", "/a"], "two models are called a;"],
    [["/m/t", "/m/t"], "two models are called m/t;"],
    [["/m/t", { path: "/a", name: "x" }, { path: "/b", name: "x" }], "two models are called x;"],
    [["/m/t", { path: "/a", name: "t" }], "none"],
    [
      [
        { path: "/m/t", name: "t" },
        { path: "/a", name: "t" },
      ],
      "two models are called t;",
    ],
    [
      [
        { path: "/m/t", name: "t" },
        { path: "/a", name: "t (frozen)" },
      ],
      "two models are called t (frozen);",
    ],
    [["/m/t", { path: "/a", name: "" }], 'name: "" cannot be shown'],
    [["/m/t", { path: "/a", name: "two\nlines" }], 'name: "two\\nlines" cannot be shown'],
  ] as const)
    test(`${JSON.stringify(models)}: ${message}`, () => {
      if (message === "none") expect(nameModels(models)).toEqual(["m/t", "t"]);
      else expect(() => nameModels(models)).toThrow(message);
    });
});

test("two models in folders of the same name have different names in all reports", async () => {
  const [a, b] = ["a", "b"].map((name) => join(folder, name, "model"));
  cpSync(demoModel("pocket-openllama"), a, { recursive: true });
  cpSync(demoModel("pocket-mpt"), b, { recursive: true });
  const config = smallConfig(join(folder, "out"), "train.steps=1", `sources=[${a}, ${b}]`);
  const summary = await run(config);
  expect(Object.keys(summary.devices)).toEqual([
    "pocket-llama",
    "pocket-llama (frozen)",
    "a/model",
    "b/model",
  ]);
  const teachers = Object.entries(summary.fusion.teachers);
  expect(teachers.map(([name]) => name)).toEqual(["pocket-llama (frozen)", "a/model", "b/model"]);
  expect(teachers.reduce((sum, [, { won }]) => sum + won!, summary.fusion.withoutTeacher!)).toBeCloseTo(1, 5);
});
