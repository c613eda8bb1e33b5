/** @file Settings of earlier versions, and how to write them now. */

/** By path, or by path and value: "fusion.align=soft". */
export const renamed: Readonly<Record<string, string>> = {
  "fusion.align=spans": "fusion.align: bytes",
  "fusion.align=soft": "fusion.align: tokens",
  "fusion.align=hard": "fusion.align: {kind: tokens, map: exact, matchEnds: false}",
  "fusion.map": "fusion.align: {kind: tokens, map: …}",
  "fusion.fallback": "fusion.align: {kind: tokens, fallback: …}",
  "fusion.duplicates": "fusion.align: {kind: tokens, duplicates: …}",
  "fusion.matchEnds": "fusion.align: {kind: tokens, matchEnds: …}",
  "train.beta1": "train.optimizer: {kind: adamw, beta1: …}",
  "train.beta2": "train.optimizer: {kind: adamw, beta2: …}",
  "train.epsilon": "train.optimizer: {kind: adamw, epsilon: …}",
  "train.weightDecay": "train.optimizer: {kind: adamw, weightDecay: …}",
  "fusion.unit": "fusion.scope: {kind: sequence or row, unit: …}",
};
