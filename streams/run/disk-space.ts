/** @file Checks that what a run writes fits on the disk. */
import { statfs } from "node:fs/promises";
import { bytesPerElement } from "../../src/weights/tensor-ref.ts";
import { trainedShapes } from "../../src/adapters/lora.ts";
import { type Shape, sizeOf } from "../../src/graph/ops.ts";
import { openLora } from "../../src/train/target.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { checkpointFolders } from "./checkpoint.ts";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;

/**
 * Checkpoints hold trained weights and two moments in float32, and the next one is complete before the oldest goes.
 * @throws UserError naming the needed and the free bytes.
 */
export async function checkSpace({ out, target, train, save }: Config): Promise<void> {
  const decoder = readDecoder(expandModel(target).path);
  const count = (shapes: ReadonlyMap<string, Shape>) =>
    [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const elements = count(decoder.parameters);
  const { method } = train;
  const lora = method.kind === "lora" ? asUserError(() => openLora(decoder, method)).lora : undefined;
  const trained = lora ? count(trainedShapes(decoder, lora)) : elements;
  const models = lora && !save.merge ? 0 : 1 + save.onnx.length;
  const checkpoints = Math.max(1, train.keep + 1 - checkpointFolders(out).length);
  const adapterBytes = lora ? 4 * trained : 0;
  const needed = 12 * trained * checkpoints + adapterBytes + bytesPerElement[save.dtype] * elements * models;
  const { bavail, bsize } = await statfs(out);
  const free = bavail * bsize;
  if (free < needed)
    throw new UserError(
      `${out}: ${gigabytes(free)} are free, but ${checkpoints} checkpoints and the model need ` +
        `${gigabytes(needed)}; give another --out, or a smaller train.keep`,
    );
}
