/**
 * @file Disables the telemetry of ONNX Runtime's official builds, on by default since 1.29, and the files it keeps in
 * the home folder. Import it before the runtime is loaded.
 */
import { dlopen } from "bun:ffi";

// Assigning to process.env does not reach the C environment, which the library reads.
const libc = { linux: "libc.so.6", darwin: "libSystem.B.dylib" }[process.platform as string];
if (libc) {
  const { symbols } = dlopen(libc, { setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" } });
  symbols.setenv(Buffer.from("ORT_DISABLE_TELEMETRY\0"), Buffer.from("1\0"), 1);
}
