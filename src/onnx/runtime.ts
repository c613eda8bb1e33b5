/** @file The one place that loads ONNX Runtime: without telemetry, and without a log. */
import "./no-telemetry.ts";
import { InferenceSession, Tensor, env, listSupportedBackends } from "onnxruntime-node";

// Failures are thrown; the log on stderr would only repeat them.
env.logLevel = "fatal";

export { InferenceSession, Tensor, listSupportedBackends };
