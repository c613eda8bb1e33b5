/** @file Gradient checkpointing (Chen et al., 2016): backward computes values of the forward pass again. */
import type { Builder } from "../graph/build.ts";
import type { Node, Op, Span, Value } from "../graph/ops.ts";

/** The spans from one checkpoint to the next: the layers. */
export function betweenCheckpoints({ nodes, checkpoints }: Builder): Span[] {
  const ends = checkpoints.map(({ node }) => nodes.indexOf(node) + 1);
  return ends.slice(1).map((end, i) => ({ entries: [checkpoints[i]], start: ends[i], end }));
}

/** The nodes of a span again, and by the original ones the values they read and compute. */
interface Copies {
  readonly span: Span;
  readonly nodes: ReadonlyMap<Node, Node>;
  readonly values: ReadonlyMap<Value, Value>;
}

/**
 * Maps nodes, visited in reverse order, to copies of them. The nodes of a span are copied when the first of them is
 * visited; what the gradient rules then read are the copies' values. Nodes outside of all spans are not copied, nor
 * are those that do not depend on their span's entries, such as masks. Spans may nest: an inner one is copied from
 * the outer one's copies.
 *
 * A span's copies wait (`barrier`) for the gradients of what was visited before it. ONNX Runtime orders nodes by
 * their data alone: it would compute all copies at once, and weight gradients, which hold on to a span's values,
 * last. The barrier's value is also a new one to it, so copies are not merged with the nodes they repeat.
 *
 * @param gradients what the walk has found so far, by the values of the original nodes.
 */
export function recomputation(
  b: Builder,
  spans: readonly Span[],
  gradients: ReadonlyMap<Value, Value>,
): <O extends Op>(node: Node<O>) => Node<O> {
  const indices = new Map(b.nodes.map((node, index) => [node, index]));
  const outerFirst = spans.toSorted((one, two) => two.end - two.start - (one.end - one.start));
  /** Values that the nodes visited since the last copies read, and that are not of their span. */
  const incoming = new Set<Value>(gradients.keys());
  let finished: Value[] = [];
  let open: Copies[] = [];
  return <O extends Op>(node: Node<O>) => {
    const index = indices.get(node)!;
    const isInside = ({ start, end }: Span) => start <= index && index < end;
    open = open.filter(({ span }) => isInside(span));
    for (const span of outerFirst) {
      if (!isInside(span) || open.some((copies) => copies.span === span)) continue;
      if (incoming.size > 0) finished = [...incoming].flatMap((value) => gradients.get(value) ?? []);
      incoming.clear();
      open.push(copySpan(b, span, open.at(-1), finished));
    }
    const copies = open.at(-1)?.nodes;
    for (const input of node.inputs) if (!copies?.has(input.node)) incoming.add(input);
    return (copies?.get(node) as Node<O> | undefined) ?? node;
  };
}

/** Copies the nodes that depend on a span's entries, to be computed once `finished` are. */
function copySpan(b: Builder, span: Span, outer: Copies | undefined, finished: readonly Value[]): Copies {
  const nodes = new Map<Node, Node>();
  const values = new Map(outer?.values);
  for (const entry of span.entries) values.set(entry, b.barrier(values.get(entry) ?? entry, ...finished));
  for (const node of b.nodes.slice(span.start, span.end)) {
    if (!node.inputs.some((input) => values.has(input))) continue;
    const copy = b.copy(
      node,
      node.inputs.map((input) => values.get(input) ?? input),
    );
    nodes.set(node, copy);
    node.outputs.forEach((output, i) => values.set(output, copy.outputs[i]));
  }
  return { span, nodes, values };
}
