/** @file How ONNX Runtime sessions are made. */
import type { ResolvedDevice } from "./devices.ts";
import type { InferenceSession } from "./runtime.ts";

/**
 * @param fold whether the runtime may compute constants in advance.
 * @param weights the folder that weight files are looked up in, where it is not the model's own.
 */
export function sessionOptions(
  device: ResolvedDevice,
  threads: number,
  fold = true,
  weights?: string,
): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    graphOptimizationLevel: "all",
    // Memory patterns cost about 1 GB on a training graph and gain nothing.
    enableMemPattern: false,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: {
      session: {
        // Several workers share the cores: a spinning thread takes a core from another model.
        intra_op: { allow_spinning: "0" },
        // Masked scores pass through denormal probabilities on their way to 0, which made softmax six times slower.
        set_denormal_as_zero: "1",
        ...(weights && { model_external_initializers_file_folder_path: weights }),
      },
      optimization: {
        // A transpose that the graph asks for is cheaper than a product that reads across the rows.
        // Folding would undo the order in which 16-bit weights are widened.
        disable_specified_optimizers: `GemmTransposeFusion${fold ? "" : ";ConstantFolding"}`,
      },
    },
  };
}
