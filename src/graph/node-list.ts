/** @file The nodes of a graph under construction, and one method per op that adds one. */
import type { Type } from "./definition.ts";
import { inferTypes, opMethods } from "./op-table.ts";
import type { Node, Op, OpAttributes, Value } from "./ops.ts";

class Nodes {
  readonly nodes: Node[] = [];
  #values = 0;

  constructor() {
    const methods = opMethods((op, inputs, attributes) =>
      this.addNode(op, inputs, attributes, inferTypes(op, inputs, attributes)),
    );
    Object.assign(this, methods);
  }

  /** Adds a node like another, of inputs of the same types. */
  copy({ op, attributes, outputs }: Node, inputs: readonly Value[]): Node {
    return this.addNode(op, inputs, attributes, outputs)[0].node;
  }

  /** Returns the outputs of the new node. */
  protected addNode<O extends Op>(
    op: O,
    inputs: readonly Value[],
    attributes: OpAttributes[O],
    types: readonly Type[],
  ): Value[] {
    const outputs: Value[] = [];
    const node: Node<O> = { op, inputs, attributes, outputs };
    for (const { shape, dtype } of types) outputs.push({ id: this.#values++, shape, dtype, node });
    this.nodes.push(node);
    return outputs;
  }
}

/** The constructor assigns the methods, whose types are those of the op families. */
export const NodeList = Nodes as new () => Nodes & ReturnType<typeof opMethods>;
