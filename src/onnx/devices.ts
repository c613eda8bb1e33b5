/** @file Names of devices; importing them does not load ONNX Runtime. */

export const devices = ["auto", "cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];
export type ResolvedDevice = Exclude<Device, "auto">;
