/** @file Checks that what a run writes fits on the disk. */
import { statfs } from "node:fs/promises";
import { bytesPerElement } from "../../src/weights/tensor-ref.ts";
import { type Shape, sizeOf } from "../../src/graph/ops.ts";
import { readDecoder } from "../../src/models/folder.ts";
import type { Optimizer } from "../../src/train/optimizer.ts";
import { createOptimizer } from "../../src/train/optimizers.ts";
import { checkpointFolders } from "./checkpoint.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;

/** Float32 numbers of a weight in a checkpoint: its own and the optimizer's. */
const countStored = (shape: Shape, optimizer: Optimizer) =>
  [shape, ...Object.values(optimizer.state(shape))].reduce((sum, one) => sum + sizeOf(one), 0);

/**
 * The next checkpoint is complete before the oldest goes.
 * @throws UserError naming the needed and the free bytes.
 */
export async function checkSpace({ out, target, train, save }: Config): Promise<void> {
  const { parameters } = readDecoder(expandModel(target).path);
  const shapes = [...parameters.values()];
  const optimizer = createOptimizer(train.optimizer);
  const elements = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const stored = shapes.reduce((sum, shape) => sum + countStored(shape, optimizer), 0);
  const checkpoints = Math.max(1, train.keep + 1 - checkpointFolders(out).length);
  const needed = 4 * stored * checkpoints + elements * bytesPerElement[save.dtype] * (1 + save.onnx.length);
  const { bavail, bsize } = await statfs(out);
  const free = bavail * bsize;
  if (free < needed)
    throw new UserError(
      `${out}: ${gigabytes(free)} are free, but ${checkpoints} checkpoints and the model need ` +
        `${gigabytes(needed)}; give another --out, or a smaller train.keep`,
    );
}
