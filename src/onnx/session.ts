/** @file Compiles graphs into ONNX Runtime sessions. A run blocks its thread: use it in a worker only. */
import { type Dtype, type Graph, type Shape, factors, isNode } from "../graph/ops.ts";
import type { ResolvedDevice } from "./devices.ts";
import { encode } from "./encode.ts";
import { locateWeights, root } from "./frozen-weights.ts";
import { openValues } from "./open-values.ts";
import type { CompileOptions, Data, Program } from "./program.ts";
import { checkLength, tensorTypes } from "./resident.ts";
import { InferenceSession, Tensor } from "./runtime.ts";
import { sessionOptions } from "./session-options.ts";

interface Input {
  readonly name: string;
  readonly dtype: Dtype;
  /** The shape in a run that gives the graph's symbolic dimensions these lengths. */
  readonly shape: (lengths: Readonly<Record<string, number>>) => Shape;
}

function describeInputs({ nodes, dimensions }: Graph): Input[] {
  return nodes
    .filter((node) => isNode(node, "input"))
    .map(({ attributes: { name }, outputs: [value] }) => {
      const sizes = value.shape.map((size) => factors(size, dimensions));
      const shape: Input["shape"] = (lengths) =>
        sizes.map(({ names, rest }) =>
          names.reduce((product, dimension) => product * lengths[dimension], rest),
        );
      return { name, dtype: value.dtype, shape };
    });
}

/**
 * Creates a session for a graph. Inputs that are neither frozen weights nor resident are fed at every run.
 * @throws naming it, if a resident input or a carried output is not in the graph.
 */
export async function compile(
  graph: Graph,
  device: ResolvedDevice,
  threads: number,
  { weights, resident = {} }: CompileOptions = {},
): Promise<Program> {
  const all = describeInputs(graph).filter(({ name }) => !weights?.refs.has(name));
  const stay = new Set(resident.inputs);
  const carry = resident.carry ?? new Map<string, string>();
  for (const name of stay)
    if (!all.some((input) => input.name === name)) throw new Error(`compile: there is no input "${name}"`);
  for (const name of carry.keys())
    if (!graph.outputs.has(name)) throw new Error(`compile: there is no output "${name}"`);
  const inputs = all.filter(({ name }) => !stay.has(name));
  const residents = all.filter(({ name }) => stay.has(name));

  const inPlace = weights !== undefined && device === "cpu" && !weights.prepacked;
  const { fed, encoding } = weights ? locateWeights(weights, inPlace) : { fed: {}, encoding: {} };
  const model = encode(graph, { ...encoding, fusedProducts: device !== "webgpu" });
  const values = resident.values ?? openValues(device);
  const session = await InferenceSession.create(model, {
    ...sessionOptions(device, threads, !inPlace, root),
    ...(values.location !== "cpu" && {
      preferredOutputLocation: Object.fromEntries(
        Array.from(carry.keys(), (name) => [name, values.location]),
      ),
    }),
  });
  return {
    inputs: inputs.map(({ name }) => name),
    write: (name, data) => values.write(name, data),
    clear: (name) => values.clear(name),
    read: (name) => values.read(name),
    async run(feeds, lengths = {}) {
      const tensors: Record<string, Tensor> = { ...fed };
      for (const { name, dtype, shape } of inputs) {
        const actual = shape(lengths);
        checkLength(name, actual, feeds[name]?.length);
        tensors[name] = new Tensor(tensorTypes[dtype], feeds[name], actual);
      }
      for (const { name, dtype, shape } of residents)
        tensors[name] = await values.feed(name, dtype, shape(lengths));
      const results: Record<string, Data> = {};
      for (const [name, output] of Object.entries(await session.run(tensors))) {
        const kept = carry.get(name);
        if (kept === undefined) results[name] = output.data as Data;
        else values.keep(kept, output);
      }
      return results;
    },
    async close() {
      await session.release();
      if (!resident.values) await values.close();
    },
  };
}
