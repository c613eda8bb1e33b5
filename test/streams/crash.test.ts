/** A short bench/crash.ts: real processes, killed at critical moments. */
import { expect, test } from "bun:test";
import { crash, kinds } from "../../bench/crash.ts";

for (const name of ["no teacher", "shuffled"])
  test(`${name}: killed, out of disk space or with a torn file, a run ends with the same weights`, async () => {
    const kind = kinds.find((one) => one.name === name)!;
    const outcome = await crash(kind, { kills: 3, fills: name === "no teacher" ? 1 : 0, seed: 5 });
    expect(outcome).toMatchObject({ kills: 3, same: true });
  });
