/**
 * @file Turns off what ONNX Runtime's official builds send to their maker, on by default since 1.29, and
 * the files that it keeps for that in the home folder. To be imported before the runtime is loaded.
 */
import { dlopen } from "bun:ffi";

// Assigning to process.env does not reach the C environment, which is where the library looks.
const libc = { linux: "libc.so.6", darwin: "libSystem.B.dylib" }[process.platform as string];
if (libc) {
  const { symbols } = dlopen(libc, { setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" } });
  symbols.setenv(Buffer.from("ORT_DISABLE_TELEMETRY\0"), Buffer.from("1\0"), 1);
}
