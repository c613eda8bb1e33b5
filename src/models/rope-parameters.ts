/** @file Where a config.json states its rotary positions: in several places, read and written as transformers does. */
import type { JsonObject } from "../files/read.ts";

/** An architecture's names at the top level of config.json, with their defaults. */
export interface RopeFields {
  readonly theta: readonly [field: string, fallback: number];
  /** If only part of a head is rotated. */
  readonly partial?: readonly [field: string, fallback: number];
  /** If each layer type may have positions of its own. */
  readonly perLayerType?: true;
}

export const standardRope: RopeFields = { theta: ["rope_theta", 10000] };

const isFilled = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** The field in effect: `rope_scaling`, as in all but the newest files, else `rope_parameters`. */
export const ropeField = (config: JsonObject) =>
  isFilled(config.rope_scaling) || !isFilled(config.rope_parameters) ? "rope_scaling" : "rope_parameters";

/**
 * The `rope_parameters` that transformers 5 makes of a config (`convert_rope_params_to_dict`): `rope_type`,
 * `rope_theta` and what that type needs. Values are only moved, so numbers may be kept as text.
 *
 * @param fromDefault makes a value of a default.
 */
export function ropeParameters(
  config: JsonObject,
  { theta, partial }: RopeFields,
  fromDefault: (value: number) => unknown = (value) => value,
): JsonObject {
  const given = config[ropeField(config)];
  const { type, ...rest } = isFilled(given) ? given : ({} as JsonObject);
  const rope_type = rest.rope_type ?? type ?? "default";
  const rope_theta = rest.rope_theta ?? config[theta[0]] ?? fromDefault(theta[1]);
  const partial_rotary_factor = partial
    ? (rest.partial_rotary_factor ?? config[partial[0]] ?? fromDefault(partial[1]))
    : (rest.partial_rotary_factor ?? config.partial_rotary_factor);
  const original_max_position_embeddings =
    config.original_max_position_embeddings ??
    rest.original_max_position_embeddings ??
    config.max_position_embeddings;
  return {
    ...rest,
    rope_type,
    rope_theta,
    ...(partial_rotary_factor !== undefined && { partial_rotary_factor }),
    ...((rope_type === "llama3" || rope_type === "yarn") &&
      original_max_position_embeddings !== undefined && { original_max_position_embeddings }),
  };
}

/**
 * A config.json that states its rotary positions in every way that transformers 4 or 5 reads.
 * @param fromDefault makes a value of a default.
 */
export function withBothSpellings(
  config: JsonObject,
  fields: RopeFields,
  fromDefault: (value: number) => unknown,
): JsonObject {
  const { theta, partial } = fields;
  const rope = ropeParameters(config, fields, fromDefault);
  const { rope_theta, partial_rotary_factor, ...scaling } = rope;
  const { partial_rotary_factor: _, ...whole } = rope;
  const { partial_rotary_factor: __, ...rest } = config;
  return {
    ...rest,
    // Where whole heads are rotated, transformers 5 ignores the factor and transformers 4 breaks on it.
    ...(partial && { [partial[0]]: partial_rotary_factor, partial_rotary_factor }),
    rope_theta,
    [theta[0]]: rope_theta,
    rope_scaling: rope.rope_type === "default" ? null : scaling,
    rope_parameters: partial ? rope : whole,
  };
}
