/** @file Runs decoders exported to ONNX by others, as on the hub: logits of whole sequences. */
import type { ResolvedDevice } from "./devices.ts";
import { InferenceSession, Tensor } from "./runtime.ts";
import { sessionOptions } from "./session-options.ts";

export interface Logits {
  /** f32[B·S·V] */
  readonly data: Float32Array;
  readonly vocabulary: number;
}

export interface ExportedDecoder {
  /**
   * Logits of B rows of S tokens.
   * @param ids, mask i32[B·S]; the mask is 0 at padding, which follows the tokens of a row.
   */
  run(rows: number, ids: Int32Array, mask: Int32Array): Promise<Logits>;
  close(): Promise<void>;
}

type Metadata = Extract<InferenceSession.ValueMetadata, { isTensor: true }>;

const toInt64 = (values: Int32Array) => BigInt64Array.from(values, BigInt);

/** What to feed an input for B rows of S tokens with an empty cache; undefined for an unknown input. */
function feed(
  { name, type, shape }: Metadata,
  rows: number,
  ids: Int32Array,
  mask: Int32Array,
): Tensor | undefined {
  const length = ids.length / rows;
  const tokens = (values: Int32Array) =>
    type === "int64"
      ? new Tensor("int64", toInt64(values), [rows, length])
      : new Tensor("int32", values, [rows, length]);
  if (name === "input_ids") return tokens(ids);
  if (name === "attention_mask") return tokens(mask);
  if (name === "position_ids") return tokens(ids.map((_, i) => i % length));
  // Selects the graph without a cache, of the two in one file.
  if (name === "use_cache_branch") return new Tensor("bool", [false], [1]);
  // 0 keeps the logits of all tokens.
  if (name === "num_logits_to_keep") return new Tensor("int64", [0n], []);
  if (!name.startsWith("past_key_values.")) return undefined;
  const dimensions = shape.map((size, axis) =>
    axis === 0 ? rows : typeof size === "number" && size > 0 ? size : 0,
  );
  if (type === "float16") return new Tensor("float16", new Uint16Array(0), dimensions);
  return type === "float32" ? new Tensor("float32", new Float32Array(0), dimensions) : undefined;
}

function toFloat32(tensor: Tensor): Float32Array | undefined {
  if (tensor.type === "float32") return tensor.data as Float32Array;
  if (tensor.type !== "float16") return undefined;
  const { buffer, byteOffset, length } = tensor.data as Uint16Array<ArrayBuffer>;
  return Float32Array.from(new Float16Array(buffer, byteOffset, length));
}

/**
 * Opens a file with the inputs and outputs of Hugging Face's exports: `input_ids`, `attention_mask` and maybe
 * `position_ids` and a cache in, `logits` out. External weight files are mapped.
 *
 * @throws naming the file, if it is damaged or has other inputs or outputs.
 */
export async function openExported(
  path: string,
  device: ResolvedDevice,
  threads: number,
): Promise<ExportedDecoder> {
  const session = await InferenceSession.create(path, sessionOptions(device, threads)).catch(
    (cause: Error) => {
      throw new Error(`${path}: cannot be loaded: ${cause.message}`, { cause });
    },
  );
  const inputs = session.inputMetadata.filter((input): input is Metadata => input.isTensor);
  const probe = new Int32Array(1);
  const unknown = session.inputNames.find((name) => {
    const input = inputs.find((other) => other.name === name);
    return !input || !feed(input, 1, probe, probe);
  });
  if (unknown !== undefined || !session.outputNames.includes("logits")) {
    await session.release();
    const problem = unknown === undefined ? "no output named logits" : `unknown input ${unknown}`;
    throw new Error(`${path}: ${problem}; expected a decoder exported for transformers.js`);
  }
  return {
    async run(rows, ids, mask) {
      const feeds = Object.fromEntries(inputs.map((input) => [input.name, feed(input, rows, ids, mask)!]));
      const { logits } = await session.run(feeds, ["logits"]);
      const [batch, length, vocabulary] = logits.dims;
      const data = toFloat32(logits);
      if (!data || batch * length !== ids.length)
        throw new Error(
          `${path}: logits are ${logits.type} [${logits.dims}], expected floats for [${rows}, ${ids.length / rows}] tokens`,
        );
      return { data, vocabulary };
    },
    close: () => session.release(),
  };
}
