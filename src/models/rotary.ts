/** @file Rotary positions (Su et al., 2021), and the ways in which they are stretched to longer texts. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import { kinds } from "./layer-kinds.ts";
import { ropeField, ropeFields, ropeParameters } from "./rope-parameters.ts";

const factor = z.number().positive();
const original = z.int().positive();
const shared = { rope_theta: factor, partial_rotary_factor: factor.max(1).optional() };

/** What else a type is given changes nothing, and is passed over, as transformers does. */
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
    /** None: the ratio of the contexts. */
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
  /** E, the numbers of a head that are turned. */
  readonly width: number;
  /** Positions that the model was made for. */
  readonly context: number;
  readonly rope: Rope;
}

/**
 * How the heads of width `head` are turned, by what a config.json says.
 * @throws naming the field, where it says what is not supported.
 */
export function readRotary(config: Readonly<Record<string, unknown>>, head: number, context: number): Rotary {
  const fields = ropeFields(config)!;
  const field = ropeField(config);
  const given = config[field];
  if (given && (typeof given !== "object" || Array.isArray(given)))
    throw new Error(`${field} is not supported: expected an object of settings`);
  const kind = Object.keys(given ?? {}).find((key) => kinds.some((one) => one === key));
  if (fields.kinds && kind)
    throw new Error(`${field}.${kind} is not supported: positions that differ by layer`);
  const parsed = Rope.safeParse(ropeParameters({ ...config, max_position_embeddings: context }, fields));
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    // The base may stand at the top level only.
    const inside = given && Object.hasOwn(given, String(path[0]));
    const name = path[0] === "rope_theta" && !inside ? fields.theta[0] : `${field}.${path.join(".")}`;
    throw new Error(`${name} is not supported: ${message}`, { cause: parsed.error });
  }
  const { partial_rotary_factor: part = 1, rope_type } = parsed.data;
  if (!fields.partial && part !== 1 && rope_type !== "default")
    throw new Error(
      `partial_rotary_factor is not supported: ${part} of a head with rope_type ${rope_type}; expected 1`,
    );
  // transformers reads no part where an architecture turns heads whole.
  return { width: fields.partial ? Math.floor(head * part) : head, context, rope: parsed.data };
}

/** theta^(−2i/E), which the reference computes in float32. */
const frequencies = (width: number, theta: number) =>
  Float32Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));

/** Llama 3.1: long waves are stretched, short ones are left, and those between are in between. */
function llama3(plain: Float32Array, scaling: Rope & { rope_type: "llama3" }): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return plain.map((frequency) => {
    const inverseFrequencies = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (inverseFrequencies - low) / (high - low)));
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

const yarnFactor = ({ factor, original_max_position_embeddings: old }: Yarn, context: number) =>
  factor ?? context / old;

/** YaRN (Peng et al., 2023, section 3.2): as above, with the ends given in turns over the old context. */
function yarn(plain: Float32Array, { width, context }: Rotary, rope: Yarn): Float32Array {
  const { original_max_position_embeddings: old, rope_theta: theta, truncate } = rope;
  const factor = yarnFactor(rope, context);
  const dimension = (turns: number) =>
    (width * Math.log(old / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimension(rope.beta_fast || 32), dimension(rope.beta_slow || 1)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(width - 1, truncate ? Math.ceil(last) : last);
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (low === high ? 0.001 : high - low)));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}

/** What YaRN multiplies cos and sin by. */
function yarnScale(rope: Yarn, context: number): number {
  const factor = yarnFactor(rope, context);
  const scale = (by: number) => (factor > 1 ? 0.1 * by * Math.log(factor) + 1 : 1);
  const { attention_factor, mscale, mscale_all_dim } = rope;
  return attention_factor ?? (mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1));
}

/** How often a pair of numbers turns per position, and what cos and sin are multiplied by. */
function waves(rotary: Rotary, positions: number): { turns: Float32Array; scale: number } {
  const { width, context, rope } = rotary;
  const theta = rope.rope_theta;
  const plain = frequencies(width, theta);
  switch (rope.rope_type) {
    case "linear":
      return { turns: plain.map((frequency) => frequency / rope.factor), scale: 1 };
    case "dynamic": {
      const stretch = (rope.factor * positions) / context - (rope.factor - 1);
      const longer = positions > context ? theta * stretch ** (width / (width - 2)) : theta;
      return { turns: frequencies(width, longer), scale: 1 };
    }
    case "llama3":
      return { turns: llama3(plain, rope), scale: 1 };
    case "yarn":
      return { turns: yarn(plain, rotary, rope), scale: yarnScale(rope, context) };
    default:
      return { turns: plain, scale: 1 };
  }
}

/** cos and sin [P, E/2] of position · frequency (Su et al., 2021, eq. 15). */
export function rotaryTables(b: Builder, positions: number, rotary: Rotary): [Value, Value] {
  const { turns, scale } = waves(rotary, positions);
  const half = turns.length;
  const [cos, sin] = [new Float32Array(positions * half), new Float32Array(positions * half)];
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < half; i++) {
      // The reference multiplies in float32; the rounding matters at large positions.
      const angle = Math.fround(position * turns[i]);
      cos[position * half + i] = Math.cos(angle) * scale;
      sin[position * half + i] = Math.sin(angle) * scale;
    }
  return [b.constant(cos, [positions, half]), b.constant(sin, [positions, half])];
}
