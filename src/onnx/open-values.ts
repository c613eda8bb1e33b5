/** @file Where resident values live, by device. */
import type { ResolvedDevice } from "./devices.ts";
import { ResidentArrays } from "./resident-arrays.ts";
import { ResidentBuffers } from "./resident-buffers.ts";
import type { ResidentValues } from "./resident.ts";

/** Opens an empty set of values for programs on one device. The caller closes it after those programs. */
export function openValues(device: ResolvedDevice): ResidentValues {
  // The binding keeps tensors on the device for WebGPU only (ONNX Runtime 1.30).
  return device === "webgpu" ? new ResidentBuffers() : new ResidentArrays();
}
