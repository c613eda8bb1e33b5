/** @file NumPy's broadcasting of shapes, and its gradient. */
import type { Builder } from "./build.ts";
import { type Shape, type Value, sameShape } from "./ops.ts";

/** The common shape of two. Throws where an axis differs and neither length is 1. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(`shapes [${a}] and [${b}] do not broadcast at axis ${axis}`);
    return x === 1 ? y : x;
  });
}

/** The gradient of broadcasting: sums over the axes along which a value of this shape was repeated. */
export function sumTo(b: Builder, gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const extra = gradient.shape.length - shape.length;
  const axes = [...gradient.shape.keys()].filter(
    (axis) => axis < extra || (shape[axis - extra] === 1 && gradient.shape[axis] !== 1),
  );
  return b.reshape(axes.length ? b.reduceSum(gradient, axes) : gradient, shape);
}
