/** @file Models in which some layers attend to the whole text and others to a sliding window. */
import { z } from "zod";

/** As transformers names them. */
export const layerTypes = ["sliding_attention", "full_attention"] as const;

/** The field `layer_types` of a config.json. */
export const layerTypesField = z.array(z.enum(layerTypes)).nullish();

/**
 * Whether each layer has the window.
 * @param isSliding the default for layers that the file does not list.
 * @throws if the file lists more or fewer than there are.
 */
export function slidingLayers(
  listed: z.infer<typeof layerTypesField>,
  layers: number,
  isSliding: (layer: number) => boolean,
): boolean[] {
  if (listed && listed.length !== layers)
    throw new Error(`layer_types: expected ${layers} entries, one per layer, got ${listed.length}`);
  return Array.from({ length: layers }, (_, i) =>
    listed ? listed[i] === "sliding_attention" : isSliding(i),
  );
}
