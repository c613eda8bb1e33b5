/** @file Runs graphs with ONNX Runtime. A run blocks its thread: use it in a worker only. */
import "./no-telemetry.ts";
import { realpathSync } from "node:fs";
import { parse, relative } from "node:path";
import { InferenceSession, Tensor, env } from "onnxruntime-node";
import { type Dtype, type Graph, type Shape, factors, isNode, sizeOf } from "../graph/ops.ts";
import { type WeightRef, bytesPerElement, readTensor } from "../weights/tensor-ref.ts";
import type { ResolvedDevice } from "./devices.ts";
import { type Encoding, encode } from "./encode.ts";
import { type Quantized, quantize } from "./quantize.ts";

export type Data = Float32Array | Int32Array;

/** Weights that a program takes from files, where they stay as they are. */
export interface FrozenWeights {
  readonly refs: ReadonlyMap<string, WeightRef>;
  /**
   * If products are to take them in 8 bits, several times faster on CPUs with instructions for that, and not
   * exact: those that there are, by name, which are made when they are needed, once for all programs of a model.
   */
  readonly int8?: Map<string, Quantized> | undefined;
  /**
   * Whether the runtime may lay them out anew, each once more in memory: of use where products have few
   * rows, as when a text is generated token by token.
   */
  readonly prepacked?: boolean;
  /** Gets the share of the weights that is in 8 bits. */
  readonly onQuantized?: ((share: number) => void) | undefined;
}

export interface Program {
  /** Names of what is fed. */
  readonly inputs: readonly string[];
  /**
   * Runs the graph once.
   * @param feeds one array per input of the graph; on the CPU they are read in place.
   * @param lengths what the graph's dimensions are in this run, by name.
   * @throws if an input is missing or has the wrong number of elements.
   */
  run(
    feeds: Readonly<Record<string, Data>>,
    lengths?: Readonly<Record<string, number>>,
  ): Promise<Record<string, Data>>;
  close(): Promise<void>;
}

// What goes wrong is thrown; the log on stderr would only say it a second time.
env.logLevel = "fatal";

/** Weights may lie anywhere: their locations are relative to this. */
const root = parse(process.cwd()).root;

const weightTypes = { F32: "f32", F16: "f16", BF16: "bf16" } as const;
const tensorTypes = { f32: "float32", i32: "int32", bool: "bool" } as const satisfies Record<Dtype, string>;

/**
 * Gives the memory of results back at once. Every run returns fresh arrays, and the garbage
 * collector, which sees only their small wrappers, lets them pile up: freed by hand, memory stays
 * flat and is reused, which made runs with large outputs several times faster.
 */
export function free(results: Iterable<Data>): void {
  for (const { buffer } of results) (buffer as ArrayBuffer).transfer(0);
}

/**
 * How sessions are made.
 * @param fold whether the runtime may compute constants in advance.
 * @param weights the folder that files of weights are looked for in, where it is not the model's own.
 */
export function sessionOptions(
  device: ResolvedDevice,
  threads: number,
  fold = true,
  weights?: string,
): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    graphOptimizationLevel: "all",
    // Memory patterns cost about 1 GB on a training graph and gain nothing.
    enableMemPattern: false,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: {
      session: {
        // Several workers share the cores: a thread that spins takes a core from another model.
        intra_op: { allow_spinning: "0" },
        // A masked score's probability is such a number before it is 0: it made softmax six times slower.
        set_denormal_as_zero: "1",
        ...(weights && { model_external_initializers_file_folder_path: weights }),
      },
      optimization: {
        // A transpose that the graph asks for is cheaper than a product that reads across the rows.
        // Folding would fold the order away in which 16-bit weights are widened.
        disable_specified_optimizers: `GemmTransposeFusion${fold ? "" : ";ConstantFolding"}`,
      },
    },
  };
}

/** Weights where they lie, as ONNX Runtime maps them; and those in 8 bits, which are made here and fed. */
function frozen({ refs, int8, prepacked = false, onQuantized }: FrozenWeights, inPlace: boolean) {
  const fed: Record<string, Tensor> = {};
  const weights: Encoding["weights"] = new Map(
    Array.from(refs, ([name, { path, offset, dtype, shape }]) => {
      const location = relative(root, realpathSync(path));
      const length = sizeOf(shape) * bytesPerElement[dtype];
      return [name, { dtype: weightTypes[dtype], place: { location, offset, length } }];
    }),
  );
  const total = [...refs.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let done = 0;
  const quantized: Encoding["quantized"] = (weight, transposed) => {
    const name = `int8:${weight}`;
    let made = int8!.get(name);
    if (!made) int8!.set(name, (made = quantize(readTensor(refs.get(weight)!), transposed)));
    const shape = [made.rows, made.columns];
    fed[name] = new Tensor("int8", made.values, shape);
    onQuantized?.((done += made.values.length) / total);
    return { name, shape, scales: made.scales };
  };
  const encoding: Encoding = { weights, inPlace, ownTables: prepacked, ...(int8 && { quantized }) };
  return { fed, encoding };
}

/** Creates a session for a graph. Weights that are not frozen are inputs of the graph like all others. */
export async function compile(
  graph: Graph,
  device: ResolvedDevice,
  threads: number,
  weights?: FrozenWeights,
): Promise<Program> {
  const lengthsOf = (shape: Shape) => shape.map((length) => factors(length, graph.dimensions));
  const inputs = graph.nodes.flatMap((node) =>
    isNode(node, "input") && !weights?.refs.has(node.attributes.name)
      ? [
          {
            name: node.attributes.name,
            dtype: node.outputs[0].dtype,
            lengths: lengthsOf(node.outputs[0].shape),
          },
        ]
      : [],
  );
  const inPlace = weights !== undefined && device === "cpu" && !weights.prepacked;
  const { fed, encoding } = weights ? frozen(weights, inPlace) : { fed: {}, encoding: {} };
  const model = encode(graph, { ...encoding, fusedProducts: device !== "webgpu" });
  const session = await InferenceSession.create(model, sessionOptions(device, threads, !inPlace, root));
  const feed = (name: string, dtype: Dtype, shape: Shape, data: Data | undefined): Tensor => {
    if (data?.length !== sizeOf(shape))
      throw new Error(
        `run: input "${name}" expects ${sizeOf(shape)} elements, got ${data?.length ?? "none"}`,
      );
    return new Tensor(tensorTypes[dtype], data, shape);
  };
  return {
    inputs: inputs.map(({ name }) => name),
    async run(feeds, lengths = {}) {
      const actual = ({ names, rest }: ReturnType<typeof factors>) =>
        names.reduce((product, name) => product * lengths[name], rest);
      const tensors: Record<string, Tensor> = { ...fed };
      for (const { name, dtype, lengths: shape } of inputs)
        tensors[name] = feed(name, dtype, shape.map(actual), feeds[name]);
      const results = await session.run(tensors);
      return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Data]));
    },
    close: () => session.release(),
  };
}
