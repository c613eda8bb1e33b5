/** @file Where resident rows live, by device. */
import type { ResolvedDevice } from "./devices.ts";
import type { ResidentRows, RowLayout } from "./resident-rows.ts";
import { RowArrays } from "./row-arrays.ts";
import { RowBuffers } from "./row-buffers.ts";

/** Opens rows for programs on one device, with nothing stored. The caller closes them after those programs. */
export async function openRows(
  device: ResolvedDevice,
  layout: RowLayout,
  capacity: number,
): Promise<ResidentRows> {
  // As with other resident values: the binding keeps tensors on the device for WebGPU only (ONNX Runtime 1.30).
  return device === "webgpu" ? RowBuffers.create(layout, capacity, device) : new RowArrays(layout, capacity);
}
