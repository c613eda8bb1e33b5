/** @file Teachers that are given as an ONNX file, run as it is in a worker. */
import { describeFolder, openInWorker } from "./in-worker.ts";
import type { TeacherKind } from "./teacher.ts";

export const onnx: TeacherKind = {
  // The last resort of a folder: describing it says which files it has, or lacks.
  accepts: () => true,
  describe: describeFolder,
  open: openInWorker,
};
