/** @file Building blocks of layers: activations by their names in config files, layer norm and linear maps. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";

/** GELU with tanh (Hendrycks & Gimpel, 2016): x·(1 + tanh u)/2, which is x·sigmoid(2u). */
function geluTanh(b: Builder, x: Value): Value {
  const cubic = b.mul(b.mul(b.mul(x, x), x), b.scalar(0.044715));
  return b.mul(x, b.sigmoid(b.mul(b.add(x, cubic), b.scalar(2 * Math.sqrt(2 / Math.PI)))));
}

export const activations = {
  gelu: (b: Builder, x: Value) => b.gelu(x),
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
} as const;

/** A field that names an activation. */
export const activationName = z.enum(Object.keys(activations) as (keyof typeof activations)[]);

/** Layer norm with scale `name`.weight and bias `name`.bias. */
export function layerNorm(
  b: Builder,
  x: Value,
  parameter: (name: string) => Value,
  name: string,
  epsilon: number,
): Value {
  return b.add(b.layerNorm(x, parameter(`${name}.weight`), epsilon), parameter(`${name}.bias`));
}

/** x·Wᵀ with `name`.weight, plus `name`.bias if `bias`. */
export function linear(
  b: Builder,
  x: Value,
  parameter: (name: string) => Value,
  name: string,
  bias: boolean,
): Value {
  const y = b.gemm(x, parameter(`${name}.weight`), { transposeB: true });
  return bias ? b.add(y, parameter(`${name}.bias`)) : y;
}
