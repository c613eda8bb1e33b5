/** @file The fields of a config.json: those that an architecture reads, those that change nothing, and no others. */
import { z } from "zod";

/**
 * Fields that say nothing about what a decoder computes from its weights when it is run or trained here:
 * where it comes from, special tokens and generation, how it was trained, heads that are not there.
 */
const harmless = `
  model_type architectures auto_map _name_or_path _commit_hash transformers_version torch_dtype dtype
  unsloth_version unsloth_fixed transformers.js_config license
  bos_token_id eos_token_id pad_token_id unk_token_id tokenizer_class tokenizer_name use_cache
  cache_implementation task_specific_params return_dict output_attentions output_hidden_states
  is_decoder is_encoder_decoder
  initializer_range initializer_factor attention_dropout hidden_dropout classifier_dropout embd_pdrop
  attn_pdrop resid_pdrop emb_pdrop gradient_checkpointing use_flash_attn _flash_attn_2_enabled
  _attn_implementation attn_implementation _attn_implementation_autoset pretraining_tp init_device
  init_config init_std router_aux_loss_coef output_router_logits router_jitter_noise verbose
  fsdp_activation_checkpointing
  id2label label2id num_labels problem_type finetuning_task summary_activation summary_type
  summary_first_dropout summary_proj_to_labels summary_use_proj
`
  .trim()
  .split(/\s+/);

/**
 * A config.json with its rotary positions where all but the newest have them: transformers 5 puts
 * `rope_theta`, `partial_rotary_factor` and what was `rope_scaling` into one field, `rope_parameters`.
 */
export function withRopeFields(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { rope_parameters: rope, ...rest } = config;
  if (typeof rope !== "object" || rope === null) return { ...config };
  const { rope_theta, partial_rotary_factor, ...scaling } = rope as Record<string, unknown>;
  const given = {
    rope_theta,
    partial_rotary_factor,
    ...(scaling.rope_type !== "default" && { rope_scaling: scaling }),
  };
  return { ...rest, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

/** A number of layers, heads or tokens, or a width: of models that exist none is near the limit. */
export const size = z
  .int()
  .positive()
  .max(2 ** 24);
export const layerCount = z.int().positive().max(4096);

/** How large a model is, by the names that most architectures have. */
export const sizes = {
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: layerCount,
  num_attention_heads: size,
};

/** @throws naming the fields, if one number is no multiple of the other. */
export function checkMultiple(of: string, whole: number, field: string, part: number): void {
  if (whole % part !== 0) throw new Error(`${field}: ${part} does not divide ${of}, ${whole}`);
}

/**
 * A schema that reads these fields, passes over the harmless ones and refuses all others: a field that
 * nobody has heard of may change what the model computes.
 */
export function settings<T extends z.ZodRawShape>(fields: T) {
  const passed = Object.fromEntries(harmless.map((name) => [name, z.unknown().optional()]));
  return z.strictObject({ ...(passed as {}), ...fields });
}
