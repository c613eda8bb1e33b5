/** @file Ops without inputs: fed tensors, constants and ranges. */
import type { Definitions } from "./definition.ts";
import type { ConstantData } from "./ops.ts";

export interface LeafOps {
  input: { readonly name: string };
  constant: { readonly data: ConstantData };
  /** [length]: offset − length, …, offset − 1, which counts from the end, for lengths known only at run time */
  arange: { readonly length: number; readonly offset: number; readonly dtype: "f32" | "i32" };
}

export const leaves = {
  arange: { types: (_, { length, dtype }) => [{ shape: [length], dtype }], gradient: null },
} satisfies Definitions<LeafOps>;
