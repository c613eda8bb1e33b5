/** @file The model to train, by its method: what is trained, what stays frozen, and how the result is written. */
import { join } from "node:path";
import { initializeLora } from "../adapters/initial.ts";
import { type Lora, adaptDecoder, planLora, trainedShapes } from "../adapters/lora.ts";
import { mergeLora } from "../adapters/merge.ts";
import type { LoraSettings, Method } from "../adapters/method.ts";
import { locatePeft, writePeft } from "../adapters/peft.ts";
import { type ExportOptions, writeFolder } from "../export/folder.ts";
import type { Shape } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { readDecoder, readParameters } from "../models/folder.ts";
import { describeNonFinite } from "../weights/finite.ts";
import { readWeights } from "../weights/read-weights.ts";
import { type Tensor, type WeightRef, readTensor } from "../weights/tensor-ref.ts";

export interface SaveOptions extends ExportOptions {
  /** Whether adapters are also written as a model of their own. */
  readonly merge: boolean;
}

export interface Target {
  readonly decoder: Decoder;
  /** By their names in the decoder. */
  readonly trained: Map<string, Tensor>;
  /** The decoder's other parameters, in their files; undefined: there are none. */
  readonly frozen?: ReadonlyMap<string, WeightRef>;
  /** Writes `model/`, or `adapter/` or both, into a run's folder. */
  readonly save: (out: string, trained: ReadonlyMap<string, Tensor>, options: SaveOptions) => Promise<void>;
}

/**
 * The adapters of a decoder: those of a PEFT folder, with their values' locations, else new ones.
 * @throws naming the setting, the file and what does not fit the decoder.
 */
const locateLora = (
  decoder: Decoder,
  settings: LoraSettings,
): { lora: Lora; refs?: ReadonlyMap<string, WeightRef> } =>
  settings.adapter === undefined
    ? { lora: planLora(decoder, settings) }
    : locatePeft(settings.adapter, decoder);

/**
 * Shapes of what a method trains, by name. No weight is read.
 * @throws as `locateLora` does.
 */
export const readTrainedShapes = (decoder: Decoder, method: Method): ReadonlyMap<string, Shape> =>
  method.kind === "lora" ? trainedShapes(decoder, locateLora(decoder, method).lora) : decoder.parameters;

async function openAdapted(folder: string, settings: LoraSettings): Promise<Target> {
  const base = readDecoder(folder);
  const { lora, refs } = locateLora(base, settings);
  const weights = await readWeights(folder, base);
  const trained = refs ? new Map<string, Tensor>() : initializeLora(lora, settings.seed);
  const sources = refs ?? new Map(lora.saved.map((name) => [name, weights.get(name)!]));
  for (const [name, ref] of sources) trained.set(name, readTensor(ref));
  const frozen = new Map([...weights].filter(([name]) => !trained.has(name)));
  return {
    decoder: adaptDecoder(base, lora),
    trained,
    frozen,
    async save(out, now, { merge, ...options }) {
      await writePeft(join(out, "adapter"), base, lora, now, folder);
      if (merge) await writeFolder(join(out, "model"), folder, mergeLora(weights, now, lora), options);
    },
  };
}

async function openWhole(folder: string, onLoaded: (fraction: number) => void): Promise<Target> {
  const decoder = readDecoder(folder);
  return {
    decoder,
    trained: await readParameters(folder, decoder, onLoaded),
    save: (out, now, options) => writeFolder(join(out, "model"), folder, now, options),
  };
}

/**
 * @param onLoaded receives the fraction loaded so far.
 * @throws if the model, or the adapter to start from, cannot be read or holds a number that is not finite.
 */
export async function openTarget(
  folder: string,
  method: Method,
  onLoaded: (fraction: number) => void,
): Promise<Target> {
  const target =
    method.kind === "lora" ? await openAdapted(folder, method) : await openWhole(folder, onLoaded);
  const wrong = describeNonFinite(target.trained) ?? (target.frozen && describeNonFinite(target.frozen));
  if (wrong) throw new Error(`${folder}: ${wrong}; such a model cannot be trained`);
  return target;
}
