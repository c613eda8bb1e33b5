/** @file Legality of a whole graph, checked before encoding: ONNX Runtime's own messages do not name the cause. */
import { definitions } from "./op-table.ts";
import type { OpDefinition } from "./definition.ts";
import { type ComputedOp, type Graph, type Value, isComputed, isNode, sameShape } from "./ops.ts";

/**
 * Throws unless every input is defined before its use, every node still has the types that its definition
 * gives, input names are unique and there is at least one output.
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
    } else if (isComputed(node)) {
      const { types } = definitions[node.op] as OpDefinition<ComputedOp>;
      const expected = types(node.inputs, node.attributes);
      node.outputs.forEach((output, index) => {
        if (!sameShape(output.shape, expected[index].shape) || output.dtype !== expected[index].dtype)
          throw new Error(
            `${node.op}: output ${index} is [${output.shape}], its definition gives [${expected[index].shape}]`,
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
