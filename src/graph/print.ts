/** @file A graph as text, one node per line, so a diff shows what changed. */
import { type Graph, type Node, type Value, isNode } from "./ops.ts";

const type = (value: Value) => `${value.dtype}[${value.shape.join(",")}]`;

function attributes(node: Node): string {
  if (isNode(node, "constant")) {
    const { data } = node.attributes;
    return data.length <= 4 ? ` {${Array.from(data).join(", ")}}` : "";
  }
  const entries = Object.entries(node.attributes);
  return entries.length
    ? ` {${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")}}`
    : "";
}

/** Values are numbered in order of appearance, so the text does not depend on dead nodes. */
export function print(graph: Graph): string {
  const numbers = new Map<Value, number>();
  const number = (value: Value) => {
    if (!numbers.has(value)) numbers.set(value, numbers.size);
    return `%${numbers.get(value)}`;
  };
  const lines = graph.nodes.map((node) => {
    const inputs = node.inputs.map(number).join(" ");
    const outputs = node.outputs.map((value) => `${number(value)}: ${type(value)}`).join(", ");
    return `${outputs} = ${node.op}${inputs && ` ${inputs}`}${attributes(node)}`;
  });
  for (const [name, value] of graph.outputs) lines.push(`output ${name} = ${number(value)}`);
  return lines.join("\n");
}
