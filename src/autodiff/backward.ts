/** @file Reverse-mode differentiation of a graph under construction: adds the gradient nodes to it. */
import type { Builder } from "../graph/build.ts";
import { definitions } from "../graph/op-table.ts";
import type { OpDefinition } from "../graph/definition.ts";
import { type ComputedOp, type Node, type Span, type Value, isComputed } from "../graph/ops.ts";
import { recomputation } from "./recompute.ts";

/** Nodes on any path from `wrt` to `outputs`, in topological order. */
function path(b: Builder, outputs: Iterable<Value>, wrt: readonly Value[]): Node<ComputedOp>[] {
  const depends = new Set<Value>(wrt);
  for (const node of b.nodes)
    if (node.inputs.some((input) => depends.has(input)))
      for (const output of node.outputs) depends.add(output);
  const leads = new Set<Value>(outputs);
  const onPath: Node<ComputedOp>[] = [];
  for (const node of b.nodes.toReversed()) {
    if (!node.outputs.some((output) => leads.has(output))) continue;
    for (const input of node.inputs) leads.add(input);
    if (!isComputed(node)) continue;
    if (node.outputs.some((output) => depends.has(output) && !wrt.includes(output))) onPath.push(node);
  }
  return onPath.reverse();
}

/**
 * Gradients of Σ ⟨seed, output⟩ with respect to each of `wrt`.
 *
 * @param seeds outputs with their upstream gradients, of equal shape.
 * @param into gradients so far, per value of `wrt`, to which the new ones are added, inside ops where
 *   possible. Gradients thus accumulate over chunks and micro-batches.
 * @param spans parts of the graph whose values are computed again, instead of being kept (`recomputation`).
 * @returns a gradient for each value of `wrt` that an output depends on or `into` holds.
 * @throws if an op on the path has no gradient rule.
 */
export function backward(
  b: Builder,
  seeds: ReadonlyMap<Value, Value>,
  wrt: readonly Value[],
  into: ReadonlyMap<Value, Value> = new Map(),
  spans: readonly Span[] = [],
): Map<Value, Value> {
  const gradients = new Map<Value, Value>(into);
  for (const [value, seed] of seeds) {
    const sum = into.get(value);
    gradients.set(value, sum ? b.add(sum, seed) : seed);
  }
  const nodes = path(b, seeds.keys(), wrt);
  const differentiated = new Set<Value>(wrt);
  for (const node of nodes) for (const output of node.outputs) differentiated.add(output);
  const recompute = recomputation(b, spans, gradients);

  for (const original of nodes.reverse()) {
    const upstream = original.outputs.map((output) => gradients.get(output));
    if (upstream.every((gradient) => gradient === undefined)) continue;
    const { gradient } = definitions[original.op] as OpDefinition<ComputedOp>;
    if (!gradient) throw new Error(`backward: ${original.op} has no gradient rule`);
    const node = recompute(original);
    const { inputs, outputs } = node;
    const [g = b.zeros(outputs[0].shape)] = upstream;
    const terms = gradient({ b, node, inputs, output: outputs[0], g, gradients: upstream });
    original.inputs.forEach((input, index) => {
      const term = terms[index];
      if (!term || !differentiated.has(input)) return;
      const sum = gradients.get(input);
      if (typeof term === "object") gradients.set(input, term.accumulateInto(sum));
      else gradients.set(input, sum ? b.add(sum, term()) : term());
    });
  }
  return new Map(wrt.flatMap((value) => (gradients.has(value) ? [[value, gradients.get(value)!]] : [])));
}
