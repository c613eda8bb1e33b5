/** @file The definitions and builder methods of all ops, in one table each. */
import { type AddNode, type Definitions, type Type } from "./definition.ts";
import { elementwise, elementwiseMethods } from "./elementwise.ts";
import { fused, fusedMethods } from "./fused.ts";
import { indexing, indexingMethods } from "./indexing.ts";
import { layout, layoutMethods } from "./layout.ts";
import { leaves } from "./leaves.ts";
import type { ComputedOp, OpAttributes } from "./ops.ts";
import { productMethods, products } from "./products.ts";
import { reductionMethods, reductions } from "./reductions.ts";

export const definitions = {
  ...leaves,
  ...elementwise,
  ...reductions,
  ...layout,
  ...products,
  ...indexing,
  ...fused,
} satisfies Definitions<OpAttributes>;

/** Ops with a gradient rule. */
export type DifferentiableOp = {
  [O in ComputedOp]: (typeof definitions)[O]["gradient"] extends null ? never : O;
}[ComputedOp];

/** Types of an op's outputs. Throws with the op's name, what it expects and what it got. */
export function inferTypes<O extends ComputedOp>(
  op: O,
  inputs: readonly Type[],
  attributes: OpAttributes[O],
): Type[] {
  const { types } = definitions[op] as Definitions<OpAttributes>[O];
  try {
    return types(inputs, attributes);
  } catch (cause) {
    throw new Error(`${op}: ${(cause as Error).message}`, { cause });
  }
}

/** One method per op for the builder; only `arange`, a constant or a node, is the builder's own. */
export const opMethods = (node: AddNode) =>
  ({
    ...elementwiseMethods(node),
    ...reductionMethods(node),
    ...layoutMethods(node),
    ...productMethods(node),
    ...indexingMethods(node),
    ...fusedMethods(node),
  }) satisfies { readonly [O in Exclude<ComputedOp, "arange">]: unknown };
