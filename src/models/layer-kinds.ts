/** @file Models in which some layers see all of a text and others the last tokens only. */
import { z } from "zod";

/** By the names of transformers. */
export const kinds = ["sliding_attention", "full_attention"] as const;

/** `layer_types` of a config.json. */
export const layerKinds = z.array(z.enum(kinds)).nullish();

/**
 * Whether each layer has the window.
 * @param otherwise what a layer has where the file does not list them.
 * @throws if there are more or fewer than the layers.
 */
export function slidingLayers(
  listed: z.infer<typeof layerKinds>,
  layers: number,
  otherwise: (layer: number) => boolean,
): boolean[] {
  if (listed && listed.length !== layers)
    throw new Error(`layer_types: ${listed.length} for ${layers} layers`);
  return Array.from({ length: layers }, (_, i) =>
    listed ? listed[i] === "sliding_attention" : otherwise(i),
  );
}
