/** @file Models that consist of ONNX files. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { writeFolder } from "../src/export/folder.ts";
import { readDecoder } from "../src/models/folder.ts";
import { readWeights } from "../src/weights/read-weights.ts";
import { demoModel } from "./close.ts";

/** Writes a demo model to a folder as ONNX files, without its other weights. */
export async function writeOnnxOnly(folder: string, name: string, types: ("fp32" | "q8")[]): Promise<void> {
  const origin = demoModel(name);
  await writeFolder(folder, origin, await readWeights(origin, readDecoder(origin)), { onnx: types });
  rmSync(join(folder, "model.safetensors"));
}
