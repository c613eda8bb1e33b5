/** @file Whether what a run writes fits on the disk. */
import { statfs } from "node:fs/promises";
import { bytesPerElement } from "../../src/weights/tensor-ref.ts";
import { sizeOf } from "../../src/graph/ops.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { checkpointFolders } from "./checkpoint.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;

/**
 * Checkpoints hold weights and two moments in float32, and the next one is complete before the oldest goes.
 * @throws UserError telling what is needed and what is free.
 */
export async function checkSpace({ out, target, train, save }: Config): Promise<void> {
  const { parameters } = readDecoder(expandModel(target).path);
  const elements = [...parameters.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const checkpoints = Math.max(1, train.keep + 1 - checkpointFolders(out).length);
  const needed = elements * (12 * checkpoints + bytesPerElement[save.dtype] * (1 + save.onnx.length));
  const { bavail, bsize } = await statfs(out);
  const free = bavail * bsize;
  if (free < needed)
    throw new UserError(
      `${out}: ${gigabytes(free)} are free, but ${checkpoints} checkpoints and the model take ` +
        `${gigabytes(needed)}; give another --out, or a smaller train.keep`,
    );
}
