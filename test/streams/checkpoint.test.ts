/** Checkpoints as files: complete, checked, and never without one. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type RunState,
  findCheckpoint,
  newestStep,
  removePartial,
  writeCheckpoint,
} from "../../streams/run/checkpoint.ts";
import { catchMessage } from "../failure.ts";

let out: string;
beforeEach(() => void (out = mkdtempSync(join(tmpdir(), "tributary-checkpoint-"))));
afterEach(() => rmSync(out, { recursive: true, force: true }));

const stateAt = (steps: number): RunState => ({
  resume: {
    steps,
    cursor: { epoch: 0, file: 0, row: steps },
    textOffset: 0,
    tokensBefore: 0,
    tokensTaken: 3,
  },
  tokens: 100 * steps,
  seconds: 1.5 * steps,
  skipped: { rows: 0, reasons: [] },
  teachers: [],
  baseline: { bits: { all: 1.25 }, text: "which" },
  inputs: { settings: { blockSize: 512 }, models: [], data: [] },
});
const save = (steps: number, keep = 2) =>
  writeCheckpoint(out, stateAt(steps), (path) => writeFile(path, `weights of step ${steps}`), keep);
const find = (notes: string[] = []) => findCheckpoint(out, (reason) => notes.push(reason));
const weights = (steps: number) => join(out, `checkpoint-${steps}`, "state.safetensors");

test("the newest checkpoint is found, with its state and weights", async () => {
  for (const steps of [2, 4, 10]) await save(steps);
  expect(readdirSync(out).sort()).toEqual(["checkpoint-10", "checkpoint-4"]);
  expect(newestStep(out)).toBe(10);
  const found = await find();
  expect(found?.state).toEqual(stateAt(10));
  expect(readFileSync(found!.weights, "utf8")).toBe("weights of step 10");
});

test("a folder without checkpoints has none", async () => {
  expect(await find()).toBeUndefined();
  expect(newestStep(join(out, "not there"))).toBeUndefined();
});

describe("a process killed while writing a checkpoint leaves a complete one", () => {
  const kept = async (steps: number, names: readonly string[]) => {
    expect((await find())?.state.resume.steps).toBe(steps);
    await removePartial(out);
    expect(readdirSync(out).sort()).toEqual([...names]);
    expect((await find())?.state.resume.steps).toBe(steps);
    // The next checkpoint can be written.
    await save(9);
    expect((await find())?.state.resume.steps).toBe(9);
  };

  test("between any two writes into the new one", async () => {
    await save(2);
    await save(4);
    for (const files of [[], ["state.safetensors"], ["state.safetensors", "state.json"]]) {
      const partial = join(out, "checkpoint-6.partial");
      mkdirSync(partial);
      for (const name of files) cpSync(join(out, "checkpoint-4", name), join(partial, name));
      await kept(4, ["checkpoint-2", "checkpoint-4"]);
      rmSync(join(out, "checkpoint-9"), { recursive: true });
      rmSync(join(out, "checkpoint-4"), { recursive: true });
      await save(2);
      await save(4);
    }
  });

  test("between replacing the last one and removing the oldest", async () => {
    await save(2, 9);
    await save(4, 9);
    await save(6, 9);
    await kept(6, ["checkpoint-2", "checkpoint-4", "checkpoint-6"]);
  });

  test("while the oldest is being removed", async () => {
    await save(2, 9);
    await save(4, 9);
    renameSync(join(out, "checkpoint-2"), join(out, "checkpoint-2.partial"));
    rmSync(join(out, "checkpoint-2.partial", "state.json"));
    await kept(4, ["checkpoint-4"]);
  });
});

test("a failed write leaves nothing behind, and earlier checkpoints unchanged", async () => {
  await save(2, 1);
  const failing = writeCheckpoint(
    out,
    stateAt(4),
    async (path) => {
      await writeFile(path, "half");
      throw new Error("ENOSPC: no space left on device, write");
    },
    1,
  );
  expect(await catchMessage(failing)).toMatch(`${join(out, "checkpoint-4")}: cannot be written: ENOSPC`);
  expect(readdirSync(out)).toEqual(["checkpoint-2"]);
  expect((await find())?.state.resume.steps).toBe(2);
});

const damages: [string, (folder: string) => void, RegExp][] = [
  [
    "flipped bytes in the weights",
    (folder) => writeFileSync(join(folder, "state.safetensors"), "weights of step 5"),
    /checkpoint-4\/state\.safetensors: its SHA-256 does not match the checkpoint/,
  ],
  [
    "weights that are cut off",
    (folder) => truncateSync(join(folder, "state.safetensors"), 3),
    /state\.safetensors: expected 17 bytes, got 3/,
  ],
  ["no weights", (folder) => rmSync(join(folder, "state.safetensors")), /state\.safetensors: not found/],
  ["no state", (folder) => rmSync(join(folder, "state.json")), /state\.json: not found/],
  [
    "a state that is cut off",
    (folder) => truncateSync(join(folder, "state.json"), 40),
    /state\.json: not JSON/,
  ],
  [
    "a state with another number",
    (folder) => {
      const path = join(folder, "state.json");
      writeFileSync(path, readFileSync(path, "utf8").replace('"tokens": 400', '"tokens": 401'));
    },
    /state\.json: its content does not match its hash/,
  ],
  [
    "a state without a resume point",
    (folder) => {
      const path = join(folder, "state.json");
      const json = JSON.parse(readFileSync(path, "utf8"));
      delete json.state.resume;
      writeFileSync(path, JSON.stringify(json));
    },
    /state\.json: state\.resume: /,
  ],
];

for (const [what, damage, message] of damages) {
  test(`${what}: refused by name if there is no other checkpoint`, async () => {
    await save(4);
    damage(join(out, "checkpoint-4"));
    expect(await catchMessage(find())).toMatch(message);
    expect(await catchMessage(find())).toMatch("begin again with --restart");
  });

  test(`${what}: an older checkpoint replaces it, with a note`, async () => {
    await save(2);
    await save(4);
    damage(join(out, "checkpoint-4"));
    const notes: string[] = [];
    expect((await find(notes))?.state.resume.steps).toBe(2);
    expect(notes).toEqual([expect.stringMatching(message)]);
    expect(notes[0]).toContain("resuming from step 2");
    // The damaged one does not block later ones, even if only one is kept.
    await save(3, 1);
    expect((await find())?.state.resume.steps).toBe(3);
    await save(4, 1);
    expect(readFileSync(weights(4), "utf8")).toBe("weights of step 4");
    expect(existsSync(join(out, "checkpoint-4.damaged"))).toBe(true);
  });
}

test("a checkpoint of another version is refused and kept, even beside a valid one", async () => {
  await save(2);
  for (const [steps, version, got] of [
    [4, undefined, "1"],
    [6, 3, "3"],
  ] as const) {
    await save(steps, 9);
    const path = join(out, `checkpoint-${steps}`, "state.json");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), version }));
    expect(await catchMessage(find())).toBe(
      `${path}: expected a checkpoint of version 2, got ${got}; ` +
        "finish this run with the Tributary that began it, or begin again with --restart",
    );
    expect(readdirSync(out)).toContain(`checkpoint-${steps}`);
  }
});

test("a size limit hit in the middle of a write is an error, not a short file", async () => {
  const module = new URL("../../src/weights/safetensors.ts", import.meta.url).pathname;
  const script = `
    import { writeSafetensors } from ${JSON.stringify(module)};
    process.on("SIGXFSZ", () => {});
    const tensor = { shape: [100000], data: new Float32Array(100000) };
    await writeSafetensors(${JSON.stringify(join(out, "limited"))}, [["weight", tensor]]).then(
      () => console.log("written"),
      (error) => console.log(error.code),
    );
  `;
  const limited = Bun.spawn(
    ["bash", "-c", 'ulimit -f 100; trap "" XFSZ; exec "$@"', "bash", process.execPath, "-e", script],
    { env: { ...process.env, BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" } },
  );
  expect(await new Response(limited.stdout).text()).toBe("EFBIG\n");
});
