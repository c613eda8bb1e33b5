/** @file Ops that read or write elements by index. */
import { type AddNode, type Definitions, type Type, f32, fail, unary } from "./definition.ts";
import { type Value, sameShape } from "./ops.ts";

export interface IndexingOps {
  /** rows of a table [V, D] by ids [...] */
  gather: {};
  /** inputs: data [V, D], ids [T], updates [T, D]; adds each update to its row */
  scatterRows: {};
  /** along the last axis: data [T, V], ids [T, K] */
  gatherElements: {};
  /** inputs: data [T, V], ids [T, K], updates [T, K]; adds along the last axis */
  scatterElements: {};
  /** outputs: the k largest along the last axis, in descending order, and their indices */
  topK: { readonly k: number };
}

const checkLastAxis = (inputs: readonly Type[]) => {
  const [data, ids] = inputs;
  if (ids.dtype !== "i32" || !sameShape(data.shape.slice(0, -1), ids.shape.slice(0, -1)))
    fail("data[T,V] and i32 ids[T,K]", inputs);
};

export const indexing = {
  gather: {
    types: (inputs) => {
      const [table, ids] = inputs;
      if (inputs.length !== 2 || table.shape.length !== 2 || ids.dtype !== "i32")
        fail("table[V,D] and i32 ids", inputs);
      return [f32([...ids.shape, table.shape[1]])];
    },
    gradient: ({ b, inputs: [table, ids], g }) => [
      { accumulateInto: (sum) => b.scatterRows(sum ?? b.zeros(table.shape), ids, g) },
    ],
  },
  // Used in gradients only.
  scatterRows: {
    types: (inputs) => {
      const [data, ids, updates] = inputs;
      if (!sameShape(updates.shape, [...ids.shape, data.shape[1]]))
        fail("data[V,D], ids[T], updates[T,D]", inputs);
      return [data];
    },
    gradient: null,
  },
  // Stands between logits and losses only, whose gradient has a closed form (train/loss.ts).
  gatherElements: {
    types: (inputs) => {
      checkLastAxis(inputs);
      return [f32(inputs[1].shape)];
    },
    gradient: null,
  },
  scatterElements: {
    types: (inputs) => {
      checkLastAxis(inputs);
      if (!sameShape(inputs[1].shape, inputs[2].shape)) fail("as many updates as ids", inputs);
      return [inputs[0]];
    },
    /** y = data + updates, scattered by ids */
    gradient: ({ b, inputs: [, ids], g }) => [() => g, undefined, () => b.gatherElements(g, ids)],
  },
  topK: {
    types: (inputs, { k }) => {
      const [{ shape }] = unary(inputs);
      const last = shape[shape.length - 1];
      if (k < 1 || k > last) fail(`at least k = ${k} along the last axis`, inputs);
      const kept = shape.with(-1, k);
      return [f32(kept), { shape: kept, dtype: "i32" }];
    },
    /** Gradients flow to the kept values. */
    gradient: ({ b, node: { outputs }, inputs: [x], g }) => [
      () => b.scatterElements(b.zeros(x.shape), outputs[1], g),
    ],
  },
} satisfies Definitions<IndexingOps>;

/** The builder's methods of this family. */
export const indexingMethods = (node: AddNode) => ({
  gather: (table: Value, ids: Value) => node("gather", [table, ids], {})[0],
  scatterRows: (data: Value, ids: Value, updates: Value) => node("scatterRows", [data, ids, updates], {})[0],
  gatherElements: (data: Value, ids: Value) => node("gatherElements", [data, ids], {})[0],
  scatterElements: (data: Value, ids: Value, updates: Value) =>
    node("scatterElements", [data, ids, updates], {})[0],
  topK: (x: Value, k: number) => node("topK", [x], { k }),
});
