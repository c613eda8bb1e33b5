/** The command as users run it: a process with arguments, an exit code and two streams. */
import { beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { useFolder } from "../folder.ts";

const folder = useFolder();
beforeAll(() => {
  for (const name of ["HOME", "TMPDIR", "XDG_CACHE_HOME"]) mkdirSync((home[name] = join(folder, name)));
});

const root = new URL("../..", import.meta.url).pathname;
/** Where programs write files; Bun's own transpiler cache is off. */
const home: Record<string, string> = { BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" };
function fuse(...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, "streams/commands/fuse.ts", ...args],
    {
      cwd: root,
      env: { ...process.env, ...home },
    },
  );
  return { exitCode, out: stdout.toString(), err: stderr.toString() };
}

test("--help lists the options, files and signals", () => {
  const { exitCode, out } = fuse("--help");
  expect(exitCode).toBe(0);
  for (const word of ["--set path=value", "--max-steps N", "--resume", "summary.json", "Ctrl-C"])
    expect(out).toContain(word);
});

const mistakes: [string[], string][] = [
  [["--bogus"], "Unknown option '--bogus'"],
  [["none.yaml"], "none.yaml: not found; expected a configuration file"],
  [["a.yaml", "b.yaml"], "b.yaml: expected one config file"],
  [["--set", "train.stepz=3"], "train.stepz: there is no such setting"],
  [["--set", "train"], "--set train: expected path=value"],
  [["--max-steps", "none"], '--max-steps none: train.steps: expected a number, got "none"'],
  [["--set", "target=/none"], "/none/config.json: not found; expected a Hugging Face model folder"],
  [["--set", "data.files=[none.txt]"], "none.txt: not found"],
  [["--set", "data.text=body"], 'it has no column "body"; its columns: id, domain, text'],
  [["--set", "fusion.topK=5001"], "fusion.topK: 5001 is more than the 5000 tokens of"],
  [["--set", "blockSize=1024"], "blockSize: 1024 is more than the 512 tokens that"],
  [["--set", "pack.rowLength=1024"], "pack.rowLength: 1024 is more than the 512 tokens that"],
  [["--set", "fusion.withTarget=false", "--set", "sources=[]"], "fusion.lmWeight: 0.5 needs a teacher"],
  [["--set", "device=cuda"], "device cuda is unavailable (available:"],
];

for (const [args, message] of mistakes)
  test(`${args.join(" ")}: one clear line, and exit code 1`, () => {
    const { exitCode, err } = fuse("--out", join(folder, "none"), ...args);
    expect(err).toContain(message);
    expect(err.trim().split("\n").length).toBe(1);
    expect(exitCode).toBe(1);
  });

test("a model folder that does not fit is refused by file and field", async () => {
  const config = await Bun.file(join(root, "demo/models/pocket-llama/config.json")).json();
  const attempts: [object, string][] = [
    [
      { model_type: "rwkv" },
      'config.json: model_type "rwkv" is not supported; expected one of gemma2, gpt2,',
    ],
    [
      { rope_scaling: { type: "longrope", factor: 2 } },
      "config.json: rope_scaling.rope_type is not supported",
    ],
    [{ hidden_act: "gelu" }, "config.json: hidden_act is not supported"],
    [{ vocab_size: 4000 }, "its tokenizer has 5000 tokens, its config.json a vocabulary of 4000"],
    [
      { intermediate_size: 500 },
      "tensor model.layers.0.mlp.gate_proj.weight has shape [512,192], expected [500,192] from config.json",
    ],
  ];
  cpSync(join(root, "demo/models/pocket-llama"), join(folder, "model"), { recursive: true });
  for (const [change, message] of attempts) {
    writeFileSync(join(folder, "model/config.json"), JSON.stringify({ ...config, ...change }));
    const { exitCode, err } = fuse(
      "--out",
      join(folder, "none"),
      "--set",
      `target=${join(folder, "model")}`,
      "--set",
      "fusion.lmWeight=1",
    );
    expect(err).toContain(message);
    expect([exitCode, err.trim().split("\n").length]).toEqual([1, 1]);
  }
});

test("--json gives an object per line: what is loaded, devices, evaluations, steps, the summary", () => {
  const small = [
    "blockSize=64",
    "slack=16",
    "pack.rowLength=64",
    "train.rows=1",
    "forward.rows=1",
    "evaluate.bytesPerDomain=500",
  ];
  const { exitCode, out, err } = fuse(
    "--json",
    "--max-steps",
    "2",
    "--out",
    join(folder, "json"),
    ...small.flatMap((set) => ["--set", set]),
  );
  expect(err).toBe("");
  const all = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const events = all.filter(({ event }) => event !== "loading");
  expect(all.find(({ event }) => event === "loading")).toMatchObject({ model: "pocket-llama" });
  expect(events.map(({ event }) => event)).toEqual([
    "devices",
    "evaluation",
    "step",
    "step",
    "evaluation",
    "summary",
  ]);
  expect(events[2]).toMatchObject({ step: 1, steps: 2, tokens: 64 });
  expect(exitCode).toBe(0);
  // Nothing is written elsewhere.
  for (const name of ["HOME", "TMPDIR", "XDG_CACHE_HOME"])
    expect(readdirSync(join(folder, name))).toEqual([]);
});
