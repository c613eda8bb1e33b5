/** @file Finds what is no number in tensors: NaN and infinities, which spread to all that is computed with them. */
import { type Tensor, type Weights, toTensor } from "./tensor-ref.ts";

/** Index of the first NaN, infinity or number whose magnitude is not below a limit; −1 if there is none. */
export function findNonFinite(values: Float32Array, limit = Infinity): number {
  // A sum of float32 numbers does not overflow a float64. Four sums are three times as fast as one.
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

const indices = (flat: number, shape: Tensor["shape"]): number[] =>
  shape
    .toReversed()
    .map((length) => {
      const index = flat % length;
      flat = Math.floor(flat / length);
      return index;
    })
    .toReversed();

/**
 * The first number of weights that is none, or not below a limit, as "name[5, 7] is NaN"; those in files are read one
 * at a time.
 */
export function describeNonFinite(weights: Weights, limit = Infinity): string | undefined {
  for (const [name, weight] of weights) {
    const { data, shape } = toTensor(weight);
    const at = findNonFinite(data, limit);
    if (at >= 0)
      return `${"path" in weight ? `${weight.path}: ` : ""}${name}[${indices(at, shape).join(", ")}] is ${data[at]}`;
  }
  return undefined;
}
