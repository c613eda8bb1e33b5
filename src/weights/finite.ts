/** @file Finds NaN and infinities in tensors, which spread to everything computed from them. */
import { sizeOf } from "../graph/ops.ts";
import { type Tensor, type Weights, readTensor } from "./tensor-ref.ts";

/** Index of the first NaN, infinity or value of a magnitude not below the limit; −1 if there is none. */
export function findNonFinite(values: Float32Array, limit = Infinity): number {
  // A sum of float32 values does not overflow float64. Four sums are three times as fast as one.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = values.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += Math.abs(values[i]);
    b += Math.abs(values[i + 1]);
    c += Math.abs(values[i + 2]);
    d += Math.abs(values[i + 3]);
  }
  for (let i = whole; i < values.length; i++) a += Math.abs(values[i]);
  return a + b + c + d < limit ? -1 : values.findIndex((value) => !(Math.abs(value) < limit));
}

/** The index along each axis of an element in row-major order. */
const unravelIndex = (flat: number, shape: Tensor["shape"]): number[] =>
  shape
    .toReversed()
    .map((length) => {
      const index = flat % length;
      flat = Math.floor(flat / length);
      return index;
    })
    .toReversed();

/**
 * Describes the first value that is not finite, or of a magnitude not below the limit, as "name[5, 7] is NaN".
 * Weights in files are read one tensor at a time. Undefined: there is none.
 */
export function describeNonFinite(weights: Weights, limit = Infinity): string | undefined {
  const sizes = Array.from(weights.values(), (weight) => ("path" in weight ? sizeOf(weight.shape) : 0));
  // One array for all that is read: the garbage collector would let a model's worth of them pile up.
  const read = new Float32Array(Math.max(0, ...sizes));
  for (const [name, weight] of weights) {
    const { shape } = weight;
    const data = "path" in weight ? readTensor(weight, read.subarray(0, sizeOf(shape))).data : weight.data;
    const at = findNonFinite(data, limit);
    if (at >= 0)
      return `${"path" in weight ? `${weight.path}: ` : ""}${name}[${unravelIndex(at, shape).join(", ")}] is ${data[at]}`;
  }
  return undefined;
}
