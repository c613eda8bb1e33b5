/** @file Legality of a whole graph, run before it is encoded: ONNX Runtime's own messages name no cause. */
import { type Graph, type Value, isNode, sameShape } from "./ops.ts";
import { shapeRules } from "./shapes.ts";

/**
 * Throws unless every input is defined before its use, every node still has the types that its shape
 * rule gives, input names are unique and there is at least one output.
 */
export function check(graph: Graph): void {
  const defined = new Set<Value>();
  const names = new Set<string>();
  for (const node of graph.nodes) {
    for (const input of node.inputs)
      if (!defined.has(input)) throw new Error(`${node.op}: input %${input.id} is used before it is defined`);
    if (isNode(node, "input")) {
      if (names.has(node.attributes.name))
        throw new Error(`input: the name "${node.attributes.name}" is taken`);
      names.add(node.attributes.name);
    } else if (node.op !== "constant") {
      const expected = shapeRules[node.op](node.inputs, node.attributes as never);
      node.outputs.forEach((output, index) => {
        if (!sameShape(output.shape, expected[index].shape) || output.dtype !== expected[index].dtype)
          throw new Error(
            `${node.op}: output ${index} is [${output.shape}], its rule gives [${expected[index].shape}]`,
          );
      });
    }
    for (const output of node.outputs) defined.add(output);
  }
  if (graph.outputs.size === 0) throw new Error("graph: it has no output");
  for (const [name, value] of graph.outputs) {
    if (names.has(name)) throw new Error(`output "${name}": an input has the same name`);
    if (!defined.has(value)) throw new Error(`output "${name}": its value is not in the graph`);
  }
}
