/** @file Rotary position embeddings (Su et al., 2021), and their extensions to longer contexts. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import type { JsonObject } from "../files/read.ts";
import type { Tokens } from "./decoder.ts";
import { layerTypes } from "./layer-types.ts";
import { type RopeFields, ropeField, ropeParameters } from "./rope-parameters.ts";

const factor = z.number().positive();
const original = z.int().positive();
const shared = { rope_theta: factor, partial_rotary_factor: factor.max(1).optional() };

/** Other fields of a type have no effect and are ignored, as in transformers. */
const Rope = z.discriminatedUnion("rope_type", [
  z.object({ rope_type: z.literal("default"), ...shared }),
  z.object({ rope_type: z.literal("linear"), factor, ...shared }),
  z.object({ rope_type: z.literal("dynamic"), factor, ...shared }),
  z.object({
    rope_type: z.literal("llama3"),
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: original,
    ...shared,
  }),
  z.object({
    rope_type: z.literal("yarn"),
    /** null: the ratio of the contexts */
    factor: factor.nullable(),
    original_max_position_embeddings: original,
    attention_factor: factor.nullish(),
    beta_fast: z.number().nonnegative().nullish(),
    beta_slow: z.number().nonnegative().nullish(),
    mscale: z.number().nonnegative().nullish(),
    mscale_all_dim: z.number().nonnegative().nullish(),
    truncate: z.boolean().default(true),
    ...shared,
  }),
]);
type Rope = z.infer<typeof Rope>;
type Yarn = Extract<Rope, { rope_type: "yarn" }>;

export interface Rotary {
  /** Rotated dimensions of a head, at most E. */
  readonly width: number;
  /** Positions that the model was trained for. */
  readonly context: number;
  readonly rope: Rope;
}

/**
 * The rotary positions of a config.json, for heads of width E.
 * @throws naming the field, if a setting is not supported.
 */
export function readRotary(config: JsonObject, fields: RopeFields, E: number, context: number): Rotary {
  const field = ropeField(config);
  const given = config[field];
  if (given && (typeof given !== "object" || Array.isArray(given)))
    throw new Error(`${field} is not supported: expected an object of settings`);
  const layerType = Object.keys(given ?? {}).find((key) => layerTypes.some((type) => type === key));
  if (fields.perLayerType && layerType)
    throw new Error(`${field}.${layerType} is not supported: positions that differ by layer`);
  const parsed = Rope.safeParse(ropeParameters({ ...config, max_position_embeddings: context }, fields));
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    // The base may be at the top level only.
    const inside = given && Object.hasOwn(given, String(path[0]));
    const name = path[0] === "rope_theta" && !inside ? fields.theta[0] : `${field}.${path.join(".")}`;
    throw new Error(`${name} is not supported: ${message}`, { cause: parsed.error });
  }
  const { partial_rotary_factor: part = 1, rope_type } = parsed.data;
  if (!fields.partial && part !== 1 && rope_type !== "default")
    throw new Error(
      `partial_rotary_factor is not supported: ${part} of a head with rope_type ${rope_type}; expected 1`,
    );
  // transformers ignores the factor in architectures that rotate whole heads.
  const width = fields.partial ? Math.floor(E * part) : E;
  if (width % 2 !== 0)
    throw new Error(`head_dim: expected an even number of rotary dimensions, got ${width}`);
  return { width, context, rope: parsed.data };
}

/** theta^(−2i/E), which the reference computes in float32. */
const standardFrequencies = (width: number, theta: number) =>
  Float32Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));

/** Llama 3.1: low frequencies are divided by the factor, high ones kept, those between interpolated. */
function llama3(plain: Float32Array, scaling: Rope & { rope_type: "llama3" }): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return plain.map((frequency) => {
    const rotations = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (rotations - low) / (high - low)));
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

const yarnFactor = ({ factor, original_max_position_embeddings: original }: Yarn, context: number) =>
  factor ?? context / original;

/** YaRN (Peng et al., 2023, section 3.2): as above, with bounds as rotations over the original context. */
function yarn(plain: Float32Array, { width, context }: Rotary, rope: Yarn): Float32Array {
  const { original_max_position_embeddings: original, rope_theta: theta, truncate } = rope;
  const factor = yarnFactor(rope, context);
  const dimension = (rotations: number) =>
    (width * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimension(rope.beta_fast || 32), dimension(rope.beta_slow || 1)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(width - 1, truncate ? Math.ceil(last) : last);
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (low === high ? 0.001 : high - low)));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}

/** YaRN's factor of cos and sin. */
function yarnScaling(rope: Yarn, context: number): number {
  const factor = yarnFactor(rope, context);
  const scale = (by: number) => (factor > 1 ? 0.1 * by * Math.log(factor) + 1 : 1);
  const { attention_factor, mscale, mscale_all_dim } = rope;
  return attention_factor ?? (mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1));
}

interface Frequencies {
  /** [width/2], radians per position of each pair of dimensions */
  readonly inverseFrequencies: Float32Array;
  /** The factor of cos and sin. */
  readonly scaling: number;
}

function computeFrequencies(rotary: Rotary, positions: number): Frequencies {
  const { width, context, rope } = rotary;
  const theta = rope.rope_theta;
  const plain = standardFrequencies(width, theta);
  switch (rope.rope_type) {
    case "linear":
      return { inverseFrequencies: plain.map((frequency) => frequency / rope.factor), scaling: 1 };
    case "dynamic": {
      const stretch = (rope.factor * positions) / context - (rope.factor - 1);
      const stretchedTheta = positions > context ? theta * stretch ** (width / (width - 2)) : theta;
      return { inverseFrequencies: standardFrequencies(width, stretchedTheta), scaling: 1 };
    }
    case "llama3":
      return { inverseFrequencies: llama3(plain, rope), scaling: 1 };
    case "yarn":
      return { inverseFrequencies: yarn(plain, rotary, rope), scaling: yarnScaling(rope, context) };
    default:
      return { inverseFrequencies: plain, scaling: 1 };
  }
}

/** cos and sin [P, E/2] of position · frequency (Su et al., 2021, eq. 15). */
function rotaryTables(b: Builder, positions: number, rotary: Rotary): [Value, Value] {
  const { inverseFrequencies, scaling } = computeFrequencies(rotary, positions);
  const half = inverseFrequencies.length;
  const [cos, sin] = [new Float32Array(positions * half), new Float32Array(positions * half)];
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < half; i++) {
      // The reference multiplies in float32; the rounding matters at large positions.
      const angle = Math.fround(position * inverseFrequencies[i]);
      cos[position * half + i] = Math.cos(angle) * scaling;
      sin[position * half + i] = Math.sin(angle) * scaling;
    }
  return [b.constant(cos, [positions, half]), b.constant(sin, [positions, half])];
}

/** A function that rotates queries or keys [R, H, L, E] by their positions; dimensions beyond `width` are kept. */
export function rotaryEmbedding(b: Builder, tokens: Tokens, rotary: Rotary): (x_RHLE: Value) => Value {
  const [cos, sin] = rotaryTables(b, tokens.maxPositions, rotary);
  return (x_RHLE) => {
    const kept = x_RHLE.shape[3] - rotary.width;
    if (kept === 0) return b.rotary(x_RHLE, tokens.positions, cos, sin);
    const [first, rest] = b.split(x_RHLE, 3, [rotary.width, kept]);
    return b.concat([b.rotary(first, tokens.positions, cos, sin), rest], 3);
  };
}
