/** @file Gradient checkpointing (Chen et al., 2016): backward computes the values between checkpoints again. */
import type { Builder } from "../graph/build.ts";
import type { Node, Op, Value } from "../graph/ops.ts";

/**
 * Maps nodes, visited in reverse order, to copies of them. Each segment, the nodes from one checkpoint to the next,
 * is copied when its first node is visited; what the gradient rules then read are the copies' values. Nodes before
 * the first checkpoint and after the last are not copied, nor are those that do not depend on their segment's
 * checkpoint, such as masks.
 *
 * A segment's copies wait (`barrier`) for all gradients of the segment after it. ONNX Runtime orders nodes by their
 * data alone: it would compute all copies at once, and weight gradients, which hold on to a segment's values, last.
 * The barrier's value is also a new one to it, so copies are not merged with the nodes they repeat.
 *
 * @param gradients what the walk has found so far, by the values of the original nodes.
 */
export function recomputation(
  b: Builder,
  checkpoints: readonly Value[],
  gradients: ReadonlyMap<Value, Value>,
): <O extends Op>(node: Node<O>) => Node<O> {
  const segments = splitAfter(b.nodes, new Set(checkpoints.map(({ node }) => node)));
  const indices = new Map(segments.flatMap((nodes, index) => nodes.map((node) => [node, index])));
  /** Values that visited nodes of the current segment read and that are not its own. */
  const incoming = new Set<Value>();
  let current = segments.length - 1;
  let copies = new Map<Node, Node>();
  return <O extends Op>(node: Node<O>) => {
    const index = indices.get(node)!;
    if (index !== current) {
      current = index;
      const finished = [...incoming].flatMap((value) => gradients.get(value) ?? []);
      incoming.clear();
      copies =
        index === 0 || index === segments.length - 1
          ? new Map()
          : copySegment(b, checkpoints[index - 1], segments[index], finished);
    }
    for (const input of node.inputs) if (!copies.has(input.node)) incoming.add(input);
    return (copies.get(node) as Node<O> | undefined) ?? node;
  };
}

/** Nodes in order, cut after each of `ends`; the last part holds the rest. */
function splitAfter(nodes: readonly Node[], ends: ReadonlySet<Node>): Node[][] {
  const parts: Node[][] = [[]];
  for (const node of nodes) {
    parts.at(-1)!.push(node);
    if (ends.has(node)) parts.push([]);
  }
  return parts;
}

/** Copies of the nodes that depend on a checkpoint, computed once `finished` are. */
function copySegment(
  b: Builder,
  checkpoint: Value,
  nodes: readonly Node[],
  finished: readonly Value[],
): Map<Node, Node> {
  const values = new Map([[checkpoint, b.barrier(checkpoint, ...finished)]]);
  const copies = new Map<Node, Node>();
  for (const node of nodes) {
    if (!node.inputs.some((input) => values.has(input))) continue;
    const copy = b.copy(
      node,
      node.inputs.map((input) => values.get(input) ?? input),
    );
    copies.set(node, copy);
    node.outputs.forEach((output, i) => values.set(output, copy.outputs[i]));
  }
  return copies;
}
