/** @file Runs decoders exported to ONNX by others, as on the hub: logits of whole sequences. */
import type { ResolvedDevice } from "./devices.ts";
import { InferenceSession, Tensor } from "./runtime.ts";
import { sessionOptions } from "./session-options.ts";

// S tokens of a sequence, V vocabulary.

export interface Logits {
  /** f32[S·V] */
  readonly data: Float32Array;
  readonly vocabulary: number;
}

export interface ExportedDecoder {
  /**
   * Logits of one sequence.
   * @param ids i32[S], S > 0
   * @throws naming the file and S, if the runtime fails or the output is not of this shape.
   */
  run(ids: Int32Array): Promise<Logits>;
  close(): Promise<void>;
}

type Metadata = Extract<InferenceSession.ValueMetadata, { isTensor: true }>;

const toInt64 = (values: Int32Array) => BigInt64Array.from(values, BigInt);

/** What to feed an input for one sequence with an empty cache; undefined for an unknown input. */
function feed({ name, type, shape }: Metadata, ids: Int32Array): Tensor | undefined {
  const tokens = (values: Int32Array) =>
    type === "int64"
      ? new Tensor("int64", toInt64(values), [1, ids.length])
      : new Tensor("int32", values, [1, ids.length]);
  if (name === "input_ids") return tokens(ids);
  if (name === "attention_mask") return tokens(ids.map(() => 1));
  if (name === "position_ids") return tokens(ids.map((_, i) => i));
  // Selects the graph without a cache, of the two in one file.
  if (name === "use_cache_branch") return new Tensor("bool", [false], [1]);
  // 0 keeps the logits of all tokens.
  if (name === "num_logits_to_keep") return new Tensor("int64", [0n], []);
  if (!name.startsWith("past_key_values.")) return undefined;
  const dimensions = shape.map((size, axis) =>
    axis === 0 ? 1 : typeof size === "number" && size > 0 ? size : 0,
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
    return !input || !feed(input, probe);
  });
  if (unknown !== undefined || !session.outputNames.includes("logits")) {
    await session.release();
    const problem = unknown === undefined ? "no output named logits" : `unknown input ${unknown}`;
    throw new Error(`${path}: ${problem}; expected a decoder exported for transformers.js`);
  }
  return {
    async run(ids) {
      const fail = (problem: string, cause?: unknown): never => {
        throw new Error(`${path}: a text of ${ids.length} tokens: ${problem}`, { cause });
      };
      const feeds = Object.fromEntries(inputs.map((input) => [input.name, feed(input, ids)!]));
      const { logits } = await session
        .run(feeds, ["logits"])
        .catch((cause: Error) => fail(cause.message, cause));
      const [batch, length, vocabulary] = logits.dims;
      const data = toFloat32(logits);
      if (!data || batch * length !== ids.length)
        return fail(
          `logits are ${logits.type} [${logits.dims}], expected floats [1, ${ids.length}, vocabulary]`,
        );
      return { data, vocabulary };
    },
    close: () => session.release(),
  };
}
