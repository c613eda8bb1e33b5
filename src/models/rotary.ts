/** @file Rotary positions (Su et al., 2021), and the ways in which they are stretched to longer texts. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";

const factor = z.number().positive();
const original = z.int().positive();

/** `rope_scaling` of a config.json. Older ones say `type` for `rope_type`. */
export const RopeScaling = z.preprocess(
  (value) => {
    if (typeof value !== "object" || value === null) return value;
    const { type, ...rest } = value as Record<string, unknown>;
    return { rope_type: type, ...rest };
  },
  z
    .discriminatedUnion("rope_type", [
      z.strictObject({ rope_type: z.literal("default"), rope_theta: factor.optional() }),
      z.strictObject({ rope_type: z.literal("linear"), factor, rope_theta: factor.optional() }),
      z.strictObject({ rope_type: z.literal("dynamic"), factor, rope_theta: factor.optional() }),
      z.strictObject({
        rope_type: z.literal("llama3"),
        factor,
        low_freq_factor: factor,
        high_freq_factor: factor,
        original_max_position_embeddings: original,
        rope_theta: factor.optional(),
      }),
      z.strictObject({
        rope_type: z.literal("yarn"),
        factor,
        original_max_position_embeddings: original.optional(),
        attention_factor: factor.nullish(),
        beta_fast: factor.nullish(),
        beta_slow: factor.nullish(),
        rope_theta: factor.optional(),
      }),
    ])
    .nullish(),
);
export type RopeScaling = z.infer<typeof RopeScaling>;

export interface Rotary {
  /** E, the numbers of a head that are turned. */
  readonly width: number;
  readonly theta: number;
  readonly scaling?: RopeScaling;
  /** Positions that the model was made for. */
  readonly context: number;
}

/** theta^(−2i/E), which the reference computes in float32. */
const frequencies = (width: number, theta: number) =>
  Float32Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));

/** Llama 3.1: long waves are stretched, short ones are left, and those between are in between. */
function llama3(plain: Float32Array, scaling: RopeScaling & { rope_type: "llama3" }): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return plain.map((frequency) => {
    const turns = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** YaRN (Peng et al., 2023, section 3.2): as above, with the ends given in turns over the old context. */
function yarn(
  plain: Float32Array,
  { width, theta, context }: Rotary,
  scaling: RopeScaling & { rope_type: "yarn" },
): Float32Array {
  const { factor, original_max_position_embeddings: old = context } = scaling;
  const dimension = (turns: number) =>
    (width * Math.log(old / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, Math.floor(dimension(scaling.beta_fast ?? 32)));
  const high = Math.min(width - 1, Math.ceil(dimension(scaling.beta_slow ?? 1)));
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}

/** How often a pair of numbers turns per position, and what cos and sin are multiplied by. */
function waves(rotary: Rotary, positions: number): { turns: Float32Array; scale: number } {
  const { width, theta, scaling, context } = rotary;
  const plain = frequencies(width, theta);
  switch (scaling?.rope_type) {
    case "linear":
      return { turns: plain.map((frequency) => frequency / scaling.factor), scale: 1 };
    case "dynamic": {
      const stretch = (scaling.factor * positions) / context - (scaling.factor - 1);
      const longer = positions > context ? theta * stretch ** (width / (width - 2)) : theta;
      return { turns: frequencies(width, longer), scale: 1 };
    }
    case "llama3":
      return { turns: llama3(plain, scaling), scale: 1 };
    case "yarn":
      return {
        turns: yarn(plain, rotary, scaling),
        scale: scaling.attention_factor ?? (scaling.factor > 1 ? 0.1 * Math.log(scaling.factor) + 1 : 1),
      };
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
