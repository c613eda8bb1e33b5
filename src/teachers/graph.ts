/** @file Teachers that are given as weights, and run by our own graph in a worker. */
import { runsWeights } from "../score/describe.ts";
import { describeFolder, openInWorker } from "./in-worker.ts";
import type { TeacherKind } from "./teacher.ts";

export const graph: TeacherKind = {
  accepts: ({ folder, dtype }) => runsWeights(folder, dtype),
  describe: describeFolder,
  open: openInWorker,
};
