/** @file A teacher whose model is run by ONNX Runtime in a worker of this process. */
import { describeModel } from "../score/describe.ts";
import { readTokenizer } from "../text/tokenizer.ts";
import type { DescribedTeacher, OpenOptions, Teacher, TeacherDescription, TeacherSpec } from "./teacher.ts";

/** @throws naming the folder and what it lacks. */
export function describeFolder({ folder, dtype }: TeacherSpec): TeacherDescription {
  const { vocabulary, maxPositions } = describeModel(folder, dtype);
  return { tokenizer: readTokenizer(folder), vocabulary, maxPositions };
}

/**
 * Loads a teacher in a worker of the pool, which it releases when it is closed.
 * @throws what loading throws; it has released the worker then.
 */
export async function openInWorker(
  { name, folder, dtype, device: wanted, tokenizer, vocabulary, maxPositions }: DescribedTeacher,
  { rowLength, rows, topK, threads, workers, onLoading }: OpenOptions,
): Promise<Teacher> {
  const { remote, release } = workers.take();
  const tokenizerSize = tokenizer.vocabulary.tokens.length;
  const load = { folder, dtype, device: wanted, rowLength, rows, k: topK, tokenizerSize, threads };
  const { model, device } = await remote.call("load", load, onLoading).catch(async (error: Error) => {
    await release();
    throw error;
  });
  return {
    name,
    folder,
    device,
    tokenizer,
    vocabulary,
    maxPositions,
    score: (groups) => workers.run(device, () => remote.call("scoreGroups", { model, groups })),
    explain: () => remote.call("explain", model),
    close: release,
  };
}
