/** @file Teachers that are given as weights, and run by our own graph in a worker. */
import { readFrozen, servesWeights } from "../score/frozen.ts";
import { readTokenizer } from "../text/tokenizer.ts";
import { openInWorker } from "./in-worker.ts";
import type { TeacherKind } from "./teacher.ts";

export const graph: TeacherKind = {
  accepts: ({ folder, dtype }) => servesWeights(folder, dtype),
  describe({ folder, dtype }) {
    const { vocabulary, context } = readFrozen(folder, dtype);
    return { tokenizer: readTokenizer(folder), vocabulary, maxPositions: context };
  },
  open: openInWorker,
};
