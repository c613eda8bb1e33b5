/** @file Checks that what a run writes fits on the disk. */
import { statfs } from "node:fs/promises";
import { bytesPerElement } from "../../src/weights/tensor-ref.ts";
import { type Shape, sizeOf } from "../../src/graph/ops.ts";
import { readTrainedShapes } from "../../src/train/target.ts";
import { readDecoder } from "../../src/models/folder.ts";
import type { Optimizer } from "../../src/train/optimizer.ts";
import { createOptimizer } from "../../src/train/optimizers.ts";
import { checkpointFolders } from "./checkpoint.ts";
import { listResults } from "./summary.ts";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;

/** Float32 numbers of a weight in a checkpoint: its own and the optimizer's. */
const countStored = (shape: Shape, optimizer: Optimizer) =>
  [shape, ...Object.values(optimizer.state(shape))].reduce((sum, one) => sum + sizeOf(one), 0);

const count = (shapes: Iterable<Shape>) =>
  Iterator.from(shapes).reduce((sum, shape) => sum + sizeOf(shape), 0);

/**
 * The next checkpoint is complete before the oldest goes.
 * @throws UserError naming the needed and the free bytes.
 */
export async function checkSpace(config: Config): Promise<void> {
  const { out, target, train, save } = config;
  const decoder = readDecoder(expandModel(target).path);
  const trained = [...asUserError(() => readTrainedShapes(decoder, train.method)).values()];
  const optimizer = createOptimizer(train.optimizer);
  const stored = trained.reduce((sum, shape) => sum + countStored(shape, optimizer), 0);
  const results = listResults(config);
  const adapter = results.includes("adapter") ? 4 * count(trained) : 0;
  const models = results.includes("model") ? 1 + save.onnx.length : 0;
  const modelBytes = count(decoder.parameters.values()) * bytesPerElement[save.dtype];
  const checkpoints = Math.max(1, train.keep + 1 - checkpointFolders(out).length);
  const needed = 4 * stored * checkpoints + adapter + modelBytes * models;
  const { bavail, bsize } = await statfs(out);
  const free = bavail * bsize;
  if (free < needed)
    throw new UserError(
      `${out}: ${gigabytes(free)} are free, but ${checkpoints} checkpoints and the model need ` +
        `${gigabytes(needed)}; give another --out, or a smaller train.keep`,
    );
}
