/** @file Quantizes weights to 8 bits, for products that quantize their other factor at run time. */
import type { Tensor } from "../weights/tensor-ref.ts";

/** A matrix [K, N] as int8 values times a scale per column. */
export interface Quantized {
  readonly rows: number;
  readonly columns: number;
  /** i8[K·N], between −127 and 127 */
  readonly values: Int8Array;
  /** f32[N] */
  readonly scales: Float32Array;
}

/**
 * Rounds each column to 255 levels, up to its largest magnitude.
 * @param transposed the tensor is [N, K]
 */
export function quantize({ shape: [first, second], data }: Tensor, transposed: boolean): Quantized {
  const [rows, columns] = transposed ? [second, first] : [first, second];
  const [down, right] = transposed ? [1, rows] : [columns, 1];
  const scales = new Float32Array(columns);
  for (let k = 0; k < rows; k++)
    for (let n = 0; n < columns; n++) scales[n] = Math.max(scales[n], Math.abs(data[k * down + n * right]));
  for (let n = 0; n < columns; n++) scales[n] = scales[n] / 127 || 1;
  const values = new Int8Array(data.length);
  for (let k = 0; k < rows; k++)
    for (let n = 0; n < columns; n++)
      values[k * columns + n] = Math.round(data[k * down + n * right] / scales[n]);
  return { rows, columns, values, scales };
}
