/** @file Chooses the device to run on. Loads ONNX Runtime: for workers only. */
import { existsSync, readdirSync } from "node:fs";
import { Builder } from "../graph/build.ts";
import type { Device, ResolvedDevice } from "./devices.ts";
import { listSupportedBackends } from "./runtime.ts";
import { compile } from "./session.ts";

/** Where the Vulkan loader looks for drivers: https://github.com/KhronosGroup/Vulkan-Loader (LoaderDriverInterface) */
const driverFolders = ["/etc", "/usr/share", "/usr/local/share", `${process.env.HOME}/.local/share`];
const driverVariables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"];

/** Dawn, which implements WebGPU, prints warnings if Vulkan has no driver; this is checked first to keep it quiet. */
function hasGraphicsDriver(): boolean {
  if (process.platform !== "linux") return true;
  if (driverVariables.some((name) => process.env[name])) return true;
  return driverFolders.some(
    (folder) => existsSync(`${folder}/vulkan/icd.d`) && readdirSync(`${folder}/vulkan/icd.d`).length > 0,
  );
}

/** Whether a session can be created on a device and computes 1 + 1 = 2. */
async function works(device: ResolvedDevice): Promise<boolean> {
  if (device === "webgpu" && !hasGraphicsDriver()) return false;
  const b = new Builder();
  const x = b.input("x", [4]);
  b.output("y", b.add(x, x));
  try {
    const program = await compile(b.graph(), device, 1);
    const run = program.run({ x: Float32Array.of(1, 1, 1, 1) });
    const { y } = await run.finally(() => program.close());
    return y.every((value) => value === 2);
  } catch {
    return false;
  }
}

/**
 * The device to run on: the one asked for, or with "auto" the fastest one that works.
 * @throws naming the available devices, if the one asked for does not work.
 */
export async function resolveDevice(device: Device): Promise<ResolvedDevice> {
  const supported = new Set(listSupportedBackends().map(({ name }) => name));
  const candidates = (["cuda", "webgpu", "cpu"] as const).filter((name) => supported.has(name));
  const wanted = device === "auto" ? candidates : candidates.filter((name) => name === device);
  for (const candidate of wanted) if (await works(candidate)) return candidate;
  const others = candidates.filter((name) => name !== device);
  const working: string[] = [];
  for (const candidate of others) if (await works(candidate)) working.push(candidate);
  throw new Error(`device ${device} is unavailable (available: ${working.join(", ") || "none"})`);
}
