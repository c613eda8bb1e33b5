/** @file Where a config.json states its rotary positions: several places, read and written as transformers does. */

/** The names that an architecture has at the top level of its config.json, and its defaults. */
interface RopeFields {
  readonly theta: readonly [field: string, otherwise: number];
  /** Where only a part of a head is turned. */
  readonly partial?: readonly [field: string, otherwise: number];
  /** Layers are of several kinds, of which each may have positions of its own. */
  readonly kinds?: true;
}

const usual: RopeFields = { theta: ["rope_theta", 10000] };

const withKinds: RopeFields = { ...usual, kinds: true };

/** Of each architecture that has rotary positions, by its `model_type`. */
const fieldsOf: Readonly<Record<string, RopeFields>> = {
  gemma2: withKinds,
  gpt_neox: { theta: ["rotary_emb_base", 10000], partial: ["rotary_pct", 0.25] },
  llama: usual,
  mistral: usual,
  mixtral: { theta: ["rope_theta", 1e6] },
  qwen2: withKinds,
  qwen3: withKinds,
};

export const ropeFields = ({ model_type }: Config): RopeFields | undefined =>
  Object.hasOwn(fieldsOf, String(model_type)) ? fieldsOf[String(model_type)] : undefined;

type Config = Readonly<Record<string, unknown>>;

const isFilled = (value: unknown): value is Config =>
  typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** The field that counts: `rope_scaling`, which all but the newest files have, and else `rope_parameters`. */
export const ropeField = (config: Config) =>
  isFilled(config.rope_scaling) || !isFilled(config.rope_parameters) ? "rope_scaling" : "rope_parameters";

/**
 * What transformers 5 makes `rope_parameters` of (`convert_rope_params_to_dict`): `rope_type`, `rope_theta` and what
 * that type needs. Values only move, so that numbers may be given as text.
 *
 * @param otherwise makes a value of a default.
 */
export function ropeParameters(
  config: Config,
  { theta, partial }: RopeFields,
  otherwise: (value: number) => unknown = (value) => value,
): Config {
  const given = config[ropeField(config)];
  const { type, ...rest } = isFilled(given) ? given : ({} as Config);
  const rope_type = rest.rope_type ?? type ?? "default";
  const rope_theta = rest.rope_theta ?? config[theta[0]] ?? otherwise(theta[1]);
  const partial_rotary_factor = partial
    ? (rest.partial_rotary_factor ?? config[partial[0]] ?? otherwise(partial[1]))
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
 * A config.json that states its rotary positions, if it has any, in each way that transformers 4 or 5 reads.
 * @param otherwise makes a value of a default.
 */
export function withBothSpellings(config: Config, otherwise: (value: number) => unknown): Config {
  const fields = ropeFields(config);
  if (!fields) return config;
  const { theta, partial } = fields;
  const rope = ropeParameters(config, fields, otherwise);
  const { rope_theta, partial_rotary_factor, ...scaling } = rope;
  const { partial_rotary_factor: _, ...whole } = rope;
  const { partial_rotary_factor: __, ...rest } = config;
  return {
    ...rest,
    // A part of what is turned whole is not read by transformers 5, and breaks transformers 4.
    ...(partial && { [partial[0]]: partial_rotary_factor, partial_rotary_factor }),
    rope_theta,
    [theta[0]]: rope_theta,
    rope_scaling: rope.rope_type === "default" ? null : scaling,
    rope_parameters: partial ? rope : whole,
  };
}
