/**
 * @file Values that outlive a run. This is the seam behind which a tensor lives in an array (resident-arrays.ts) or
 * in a buffer of the GPU (resident-buffers.ts); no other code knows where.
 */
import { type Dtype, type Shape, sizeOf } from "../graph/ops.ts";
import type { Data } from "./program.ts";
import type { Tensor } from "./runtime.ts";

/** Values by name. Programs given the same ones share them; whoever opened them closes them. */
export interface ResidentValues {
  /**
   * Sets a value. The array stays the caller's: on the CPU every run reads it in place, on a GPU the next run copies
   * it, so it must be written again after a change.
   */
  write(name: string, data: Data): void;
  /** Frees a value; to the next run it is zeros. */
  clear(name: string): void;
  /**
   * The elements of a value, valid until it is replaced or cleared: on the CPU the value itself.
   * @throws if there is none.
   */
  read(name: string): Promise<Data>;
  /** Where a session is to leave what becomes a value. */
  readonly location: "cpu" | "gpu-buffer";
  /**
   * A value as the input of a run.
   * @throws if nothing was written, or it does not have the input's shape.
   */
  feed(name: string, dtype: Dtype, shape: Shape): Tensor | Promise<Tensor>;
  /** Takes over an output of a run. */
  keep(name: string, output: Tensor): void;
  close(): Promise<void>;
}

export const tensorTypes = { f32: "float32", i32: "int32", bool: "bool" } as const satisfies Record<
  Dtype,
  string
>;

/** @throws unless there is one element per place of the shape. */
export function checkLength(name: string, shape: Shape, length: number | undefined): void {
  if (length !== sizeOf(shape))
    throw new Error(`run: input "${name}" expects ${sizeOf(shape)} elements, got ${length ?? "none"}`);
}

/** An array for a tensor of this shape, filled with 0. */
export const zeros = (dtype: Dtype, shape: Shape): Data =>
  dtype === "f32" ? new Float32Array(sizeOf(shape)) : new Int32Array(sizeOf(shape));

/** The error of reading a value that was never written, or was cleared. */
export const noValue = (name: string) => new Error(`read: "${name}" holds no value`);
