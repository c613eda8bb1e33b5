/** @file Teachers that are given as an ONNX file, run as it is in a worker. */
import { readFrozen } from "../score/frozen.ts";
import { readTokenizer } from "../text/tokenizer.ts";
import { openInWorker } from "./in-worker.ts";
import type { TeacherKind } from "./teacher.ts";

export const onnx: TeacherKind = {
  // The last resort of a folder: describing it says which files it has, or lacks.
  accepts: () => true,
  describe({ folder, dtype }) {
    const { vocabulary, context } = readFrozen(folder, dtype);
    return { tokenizer: readTokenizer(folder), vocabulary, maxPositions: context };
  },
  open: openInWorker,
};
