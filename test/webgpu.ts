/**
 * @file WebGPU without a GPU: SwiftShader, the software driver that comes with Debian's chromium. Scripts run in a
 * process of their own, since the driver is chosen by the environment.
 */
import { existsSync } from "node:fs";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const root = new URL("..", import.meta.url).pathname;
const env = { ...process.env, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver };

/** Runs a module in the repository's root that prints JSON. */
export function evaluate(script: string) {
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script], { cwd: root, env });
  return { value: JSON.parse(stdout.toString() || "null"), err: stderr.toString() };
}

export const hasWebGpu =
  existsSync(driver) &&
  evaluate(`import { resolveDevice } from "./src/onnx/resolve-device.ts";
    console.log(JSON.stringify(await resolveDevice("webgpu").catch(() => "none")));`).value === "webgpu";
if (!hasWebGpu)
  console.warn("WebGPU is not tested: no SwiftShader here; apt-get install chromium libvulkan1 brings it");
