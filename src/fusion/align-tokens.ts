/** @file FuseLLM's alignment: dynamic time warping over tokens, then a vocabulary map (Wan et al., 2024). */
import { z } from "zod";
import type { Vocabulary } from "../text/vocabulary.ts";
import type { Alignment } from "./alignment.ts";
import { applyTail, countCandidates, selectCandidates } from "./candidates.ts";
import { oneOf } from "../settings/choices.ts";
import { TimeWarp } from "./dtw.ts";
import { RowWriter, softmaxRows } from "./sparse.ts";
import type { AlignOptions, Aligner } from "./targets.ts";
import { type ProjectOptions, TokenProjector, duplicates, fallbacks } from "./token-projector.ts";
import { vocabularyMaps } from "./vocabulary-maps.ts";

const settings = z
  .strictObject({
    kind: z.literal("tokens"),
    map: oneOf(vocabularyMaps, "minED", "which target token each source token stands for"),
    matchEnds: z
      .boolean()
      .default(true)
      .describe("map end-of-text tokens to each other, whatever the map says"),
    fallback: oneOf(fallbacks, "none", "what a position without a match predicts"),
    duplicates: oneOf(duplicates, "sum", "what happens to candidates that map to the same token"),
  })
  .describe("dynamic time warping over tokens, then a vocabulary map, as in FuseLLM");

/**
 * An aligner for these settings, where a map says which target token each source token stands for.
 * @param map i32[source vocabulary]; −1 is none.
 */
export function dtwAligner(
  source: Vocabulary,
  target: Vocabulary,
  map: Int32Array,
  options: AlignOptions & ProjectOptions,
): Aligner {
  const warp = new TimeWarp(source, target);
  const projector = new TokenProjector(source, target, map);
  const indexOfId = new Int32Array(target.tokens.length);
  return (encoding, { ids }, candidates) => {
    const selected = selectCandidates(candidates, encoding.ids.length, options);
    const { topIds, topLogProbs } = selected;
    const k = countCandidates(selected, encoding.ids.length);
    const scores = { ids: encoding.ids, topIds, topScores: topLogProbs, k };
    const { rows, sources } = projector.project(scores, ids, warp.align(encoding.ids, ids), options);
    const writer = new RowWriter(ids.length, rows.ids.length + ids.length, indexOfId);
    const probabilities = softmaxRows(rows).values;
    let [aligned, dropped, tail] = [0, 0, 0];
    for (let t = 0; t < ids.length; t++, writer.endRow()) {
      // The token after a block's last one is unknown here.
      if (t + 1 === ids.length) continue;
      const [start, end] = [rows.offsets[t], rows.offsets[t + 1]];
      let [kept, placed] = [0, 0];
      if (sources[t] >= 0) {
        aligned++;
        for (let i = sources[t] * k; i < (sources[t] + 1) * k; i++) kept += Math.exp(topLogProbs[i]);
        for (let i = start; i < end; i++) placed += Math.exp(rows.values[i]);
        dropped += kept - placed;
        tail += 1 - kept;
      }
      const scale = sources[t] >= 0 && options.tail !== "renormalize" ? placed : 1;
      for (let i = start; i < end; i++) writer.add(rows.ids[i], probabilities[i] * scale);
      if (sources[t] >= 0 && end > start) applyTail(writer, options.tail, ids[t + 1]);
    }
    return { rows: writer.finish(), aligned, multiToken: 0, dropped, tail };
  };
}

export const tokens: Alignment<typeof settings> = {
  settings,
  create: async ({ map: name, matchEnds, fallback, duplicates }, { source, target, options, corpus }) => {
    const map = await vocabularyMaps[name].build(source.vocabulary, target.vocabulary, corpus);
    if (matchEnds) map[source.eos] = target.eos;
    return dtwAligner(source.vocabulary, target.vocabulary, map, { ...options, fallback, duplicates });
  },
};
