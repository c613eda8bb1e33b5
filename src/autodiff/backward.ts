/** @file Reverse-mode differentiation of a graph under construction: adds the gradient nodes to it. */
import type { Builder } from "../graph/build.ts";
import type { Node, Op, Value } from "../graph/ops.ts";
import { type Step, type Term, rules } from "./rules.ts";

/** Nodes on some path from `wrt` to `outputs`, in the order of the graph. */
function path(b: Builder, outputs: Iterable<Value>, wrt: readonly Value[]): Node[] {
  const depends = new Set<Value>(wrt);
  for (const node of b.nodes)
    if (node.inputs.some((input) => depends.has(input)))
      for (const output of node.outputs) depends.add(output);
  const leads = new Set<Value>(outputs);
  const onPath: Node[] = [];
  for (const node of b.nodes.toReversed()) {
    if (!node.outputs.some((output) => leads.has(output))) continue;
    for (const input of node.inputs) leads.add(input);
    if (node.outputs.some((output) => depends.has(output) && !wrt.includes(output))) onPath.push(node);
  }
  return onPath.reverse();
}

/**
 * Gradients of Σ ⟨seed, output⟩ with respect to each of `wrt`.
 *
 * @param seeds outputs with their upstream gradients, of equal shape.
 * @param into gradients so far, per value of `wrt`: the new ones are added to them inside the ops
 *   that can, which is how gradients accumulate over chunks and over micro-batches.
 * @returns a gradient for each value of `wrt` that an output depends on or that `into` holds.
 * @throws if an op on the path has no gradient rule.
 */
export function backward(
  b: Builder,
  seeds: ReadonlyMap<Value, Value>,
  wrt: readonly Value[],
  into: ReadonlyMap<Value, Value> = new Map(),
): Map<Value, Value> {
  const gradients = new Map<Value, Value>(into);
  for (const [value, seed] of seeds) {
    const sum = into.get(value);
    gradients.set(value, sum ? b.add(sum, seed) : seed);
  }
  const nodes = path(b, seeds.keys(), wrt);
  const differentiated = new Set<Value>(wrt);
  for (const node of nodes) for (const output of node.outputs) differentiated.add(output);

  for (const node of nodes.reverse()) {
    const upstream = node.outputs.map((output) => gradients.get(output));
    if (upstream.every((gradient) => gradient === undefined)) continue;
    if (!(node.op in rules)) throw new Error(`backward: ${node.op} has no gradient rule`);
    const rule = rules[node.op as keyof typeof rules] as (step: Step<Op>) => (Term | undefined)[];
    const [g = b.zeros(node.outputs[0].shape)] = upstream;
    const terms = rule({ b, node, inputs: node.inputs, output: node.outputs[0], g, gradients: upstream });
    node.inputs.forEach((input, index) => {
      const term = terms[index];
      if (!term || !differentiated.has(input)) return;
      const sum = gradients.get(input);
      if (typeof term === "object") gradients.set(input, term.accumulateInto(sum));
      else gradients.set(input, sum ? b.add(sum, term()) : term());
    });
  }
  return new Map(wrt.flatMap((value) => (gradients.has(value) ? [[value, gradients.get(value)!]] : [])));
}
