/** All mistakes of a configuration are reported at once, each with its place and a suggestion. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Config } from "../../streams/config/config.ts";
import { type Assignment, readConfig, readExperiment } from "../../streams/config/config-file.ts";
import { useFolder } from "../folder.ts";
import { demo } from "./small-run.ts";
import { renamed } from "../../streams/config/renamed.ts";

const folder = useFolder();

const good = "target: model\ndata: { files: [a.jsonl] }\ntrain: { steps: 3 }\nout: out\n";

function write(text: string): string {
  writeFileSync(join(folder, "my.yaml"), text);
  return join(folder, "my.yaml");
}

/** The message's lines, without the folder. */
function refuse(text: string, assignments: readonly Assignment[] = []): string[] {
  try {
    readConfig(write(text), assignments);
  } catch (error) {
    return (error as Error).message.replaceAll(`${folder}/`, "").split("\n");
  }
  return [];
}

test("all mistakes are reported, in order, each with file, line and column", () => {
  const text = `# a comment
target: { pth: x, device: gpu }
trian:
  steps: 3
sources: [a, 3]
data:
  files: [x.jsonl]
  foo: 1
  onBadRow: Skip
fusion:
  method: minCe
  lmWeight: 2
  topK: 1.5
learningRate: 3
save: { onnx: [q9] }
out: null
`;
  expect(refuse(text)).toEqual([
    "12 mistakes",
    "  my.yaml:2:11: target.pth: there is no such setting; did you mean target.path?",
    '  my.yaml:2:19: target.device: expected one of auto, cpu, webgpu, cuda, got "gpu"; did you mean cpu?',
    "  my.yaml:3:1: trian: there is no such setting; did you mean train?",
    "  my.yaml:5:14: sources.1: expected a string or settings (key: value), got 3",
    "  my.yaml:8:3: data.foo: there is no such setting",
    '  my.yaml:9:3: data.onBadRow: expected one of fail, skip, got "Skip"; did you mean skip?',
    '  my.yaml:11:3: fusion.method: expected one of minCE, avgCE, mixture, got "minCe"; did you mean minCE?',
    "  my.yaml:12:3: fusion.lmWeight: expected a number of at most 1, got 2",
    "  my.yaml:13:3: fusion.topK: expected a whole number, got 1.5",
    "  my.yaml:14:1: learningRate: there is no such setting; did you mean train.learningRate?",
    '  my.yaml:15:16: save.onnx.0: expected one of fp32, fp16, q8, got "q9"; did you mean q8?',
    "  my.yaml:16:1: out: expected a string, got null",
  ]);
});

test("a misspelt key is not also reported missing; a missing key has its parent's place", () => {
  expect(refuse(good.replace("train", "trian"))).toEqual([
    "my.yaml:3:1: trian: there is no such setting; did you mean train?",
  ]);
  expect(refuse(good.replace("steps: 3", ""))).toEqual([
    "my.yaml:3:1: train.steps: is missing; expected a number",
  ]);
  expect(refuse(good.replace("out: out", ""))).toEqual(["my.yaml: out: is missing; expected a string"]);
});

test("unknown keys are reported one by one, each by its own path, also through anchors", () => {
  const several = good.replace("{ steps: 3 }", "&t\n  steps: 3\n  a: 1\n  b: { c: 2 }\n  d.e: 1");
  expect(refuse(several)).toEqual([
    "3 mistakes",
    "  my.yaml:5:3: train.a: there is no such setting",
    "  my.yaml:6:3: train.b: there is no such setting",
    "  my.yaml:7:3: train.d.e: there is no such setting",
  ]);
  const alias = `pack: &p { rowLenght: 3 }\nforward: *p\n${good}`;
  expect(refuse(alias)).toContain("  my.yaml:1:12: forward.rowLenght: there is no such setting");
});

test("invalid YAML is reported with line and column", () => {
  const broken: [string, string][] = [
    ["target: {a: 1\nsources: []\n", "my.yaml:2:1: not YAML: Flow map"],
    ["target: a\ntarget: b\n", "my.yaml:2:1: not YAML: Map keys must be unique"],
    ["data:\n\tfiles: a\n", "my.yaml:2:1: not YAML: Tabs are not allowed"],
    ["target: *model\n", "my.yaml:1:1: not YAML: Unresolved alias"],
    ["out: 'x\n", "my.yaml:2:1: not YAML: Missing closing 'quote"],
    ["", "my.yaml: expected keys such as target"],
    ["- a\n", "my.yaml: expected keys such as target"],
  ];
  for (const [text, message] of broken) expect(refuse(text)[0]).toStartWith(message);
});

test("a mistake in an option is reported for the option, not for the file", () => {
  const refused: [Assignment, string][] = [
    ["train.steps=ten", '--set train.steps=ten: train.steps: expected a number, got "ten"'],
    [
      { option: "--max-steps", key: "train.steps", value: "ten" },
      '--max-steps ten: train.steps: expected a number, got "ten"',
    ],
    [
      "train.stepz=3",
      "--set train.stepz=3: train.stepz: there is no such setting; did you mean train.steps?",
    ],
    [
      "recipe=fuselm",
      '--set recipe=fuselm: recipe: expected one of default, fusellm, kd, got "fuselm"; did you mean fusellm?',
    ],
    ["train={steps: 3", "--set train={steps: 3: the value is not YAML: Flow map must end with a }"],
    ["train", "--set train: expected path=value, such as train.steps=40"],
  ];
  for (const [assignment, message] of refused) {
    expect(() => readConfig(demo, [assignment])).toThrow(message);
    expect(refuse(good, [assignment])).toEqual([message]);
  }
});

test("one file or source is a list of one; paths are relative to the file, or to the working directory in options", () => {
  const config = readConfig(write(good.replace("[a.jsonl]", "a.jsonl")), [
    "sources=models/b",
    "evaluate.files=c.txt",
  ]);
  expect(config.data.files).toEqual([join(folder, "a.jsonl")]);
  expect(config.sources).toEqual(["models/b"]);
  expect(config.evaluate?.files).toEqual([join(process.cwd(), "c.txt")]);
});

test("an experiment's mistakes have the place of their arm, or of the common settings", () => {
  const text = `${good}seeds: [1]\narms:\n  a: null\n  b:\n    fusion:\n      lamda: 1\n`;
  expect(() => readExperiment(write(text))).toThrow(
    `${folder}/my.yaml:10:7: arms.b: fusion.lamda: there is no such setting`,
  );
  expect(() =>
    readExperiment(write(text.replace("lamda: 1", "topK: 3").replace("steps: 3", "steps: 0"))),
  ).toThrow(`${folder}/my.yaml:3:10: arms.a: train.steps: expected a number above 0, got 0`);
});

test("an alignment is a kind with its own settings, or just the kind", () => {
  const read = (fusion: string, ...assignments: string[]) =>
    readConfig(write(`${good}fusion: ${fusion}\n`), assignments).fusion;
  const tokens = { kind: "tokens", map: "minED", matchEnds: true, fallback: "none", duplicates: "sum" };
  expect(read("{}").align).toEqual({ kind: "bytes" });
  expect(read("{ align: tokens }").align).toEqual(tokens as never);
  expect(read("{ align: { kind: tokens, map: exact } }").align).toEqual({ ...tokens, map: "exact" } as never);
  expect(
    refuse(`${good}fusion: { align: { kind: bytes, map: exact }, scope: { kind: token, unit: byte } }`),
  ).toEqual([
    "2 mistakes",
    "  my.yaml:5:33: fusion.align.map: there is no such setting of bytes",
    "  my.yaml:5:69: fusion.scope.unit: there is no such setting of token",
  ]);
  expect(refuse(`${good}fusion: { align: token, scope: { kind: rows }, lmWeight: 1 }`)).toEqual([
    "2 mistakes",
    '  my.yaml:5:11: fusion.align: expected one of bytes, tokens, got "token"; did you mean tokens?',
    '  my.yaml:5:34: fusion.scope.kind: expected one of token, sequence, row, got "rows"; did you mean row?',
  ]);
  expect(refuse(`${good}fusion: { align: { map: exact }, scope: 3 }`)).toEqual([
    "2 mistakes",
    "  my.yaml:5:11: fusion.align.kind: is missing; expected one of bytes, tokens",
    "  my.yaml:5:34: fusion.scope: expected one of token, sequence, row, got 3",
  ]);
  expect(refuse(`${good}fusion: { align: { kind: tokens, fallback: nxt } }`)).toEqual([
    'my.yaml:5:34: fusion.align.fallback: expected one of none, next, repeat, got "nxt"; did you mean next?',
  ]);
});

test("another kind replaces a recipe's settings, the same kind changes them", () => {
  const read = (...assignments: string[]) =>
    readConfig(write(good), ["recipe=fusellm", ...assignments]).fusion;
  expect(read("fusion.align.kind=bytes").align).toEqual({ kind: "bytes" });
  expect(read("fusion.scope=row").scope).toEqual({ kind: "row", unit: "byte" });
  const map = { map: "statistical", fallback: "repeat", matchEnds: false } as const;
  expect(read("fusion.align.map=statistical").align).toMatchObject(map);
  expect(read("fusion.align={kind: tokens, map: statistical}").align).toMatchObject(map);
});

test("a setting of an earlier version is refused in one line with its new name", () => {
  const old =
    "fusion: { align: soft, map: exact, fallback: next, duplicates: first, matchEnds: false, unit: token }";
  expect(refuse(`${good}${old}`)).toEqual([
    "6 mistakes",
    "  my.yaml:5:11: fusion.align: soft is now fusion.align: tokens",
    "  my.yaml:5:24: fusion.map: is now fusion.align: {kind: tokens, map: …}",
    "  my.yaml:5:36: fusion.fallback: is now fusion.align: {kind: tokens, fallback: …}",
    "  my.yaml:5:52: fusion.duplicates: is now fusion.align: {kind: tokens, duplicates: …}",
    "  my.yaml:5:71: fusion.matchEnds: is now fusion.align: {kind: tokens, matchEnds: …}",
    "  my.yaml:5:89: fusion.unit: is now fusion.scope: {kind: sequence or row, unit: …}",
  ]);
  for (const [old, now] of Object.entries(renamed)) {
    const [path, value = "1"] = old.split("=");
    const was = old.includes("=") ? `${path}: ${value}` : `${path}:`;
    expect(refuse(good, [`${path}=${value}`])).toEqual([`--set ${path}=${value}: ${was} is now ${now}`]);
  }
});

test("every setting has a description", () => {
  const undescribed: string[] = [];
  const visit = (schema: z.core.JSONSchema.BaseSchema, path: string) => {
    for (const inner of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])])
      visit(inner as z.core.JSONSchema.BaseSchema, path);
    for (const [name, inner] of Object.entries(schema.properties ?? {})) {
      if (name !== "kind" && !(inner as { description?: string }).description)
        undescribed.push(`${path}${name}`);
      visit(inner as z.core.JSONSchema.BaseSchema, `${path}${name}.`);
    }
  };
  visit(z.toJSONSchema(Config, { io: "input" }), "");
  expect(undescribed).toEqual([]);
});
