/** @file LoRA (Hu et al., 2021): y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ with W frozen, for any decoder, without its knowledge. */
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { type Linear, type Modules, findModules, lastPart, moduleName } from "./linears.ts";
import type { LoraSettings } from "./method.ts";

// Shapes: T tokens, K inputs and N outputs of a linear layer, r rank.

/** The adapters of a decoder, and which of its own parameters are trained with them. */
export interface Lora {
  readonly rank: number;
  readonly alpha: number;
  readonly rslora: boolean;
  /** The adapted layers by the names of their modules. */
  readonly adapted: ReadonlyMap<string, Linear>;
  /** Parameters of the decoder that are trained whole. */
  readonly saved: readonly string[];
}

export const nameA = (module: string): string => `${module}.lora_A.weight`;
export const nameB = (module: string): string => `${module}.lora_B.weight`;

/** s, the factor of an adapter's product. */
export const loraScale = ({ rank, alpha, rslora }: Lora): number => alpha / (rslora ? Math.sqrt(rank) : rank);

/** Shapes of what is trained, by name: A [r, K] and B [N, r] of each adapted layer, then the saved parameters. */
export function trainedShapes(decoder: Decoder, { rank, adapted, saved }: Lora): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const [module, { from, to }] of adapted)
    shapes.set(nameA(module), [rank, from]).set(nameB(module), [to, rank]);
  for (const name of saved) shapes.set(name, decoder.parameters.get(name)!);
  return shapes;
}

/** Whether PEFT takes a name in `target_modules` or `modules_to_save` to mean this module. */
const isMeant = (name: string, module: string) => module === name || module.endsWith(`.${name}`);

/** Last parts of module names, for a message. */
const lastParts = (modules: Iterable<string>) => [...new Set(Array.from(modules, lastPart))].join(", ");

/**
 * Checks the adapted layers and the saved parameters against each other and the decoder.
 * @param modules the layers to adapt, of those that `findModules` found.
 * @param whole modules that are trained whole.
 * @throws naming the first module that does not fit.
 */
export function createLora(
  decoder: Decoder,
  { rank, alpha, rslora }: Pick<Lora, "rank" | "alpha" | "rslora">,
  { linears: adapted, tied }: Modules,
  whole: ReadonlySet<string>,
): Lora {
  const both = [...whole].find((module) => adapted.has(module));
  if (both !== undefined) throw new Error(`${both} is trained whole; it cannot have an adapter, too`);
  if (tied && whole.has(moduleName(decoder.head)))
    throw new Error(
      `${moduleName(decoder.head)} is both the embedding and the output head; PEFT cannot save such a module, so it is not trained whole`,
    );
  const saved = [...decoder.parameters.keys()].filter((name) => whole.has(moduleName(name)));
  return { rank, alpha, rslora, adapted, saved };
}

/**
 * The adapters that settings describe.
 * @throws naming the setting, if a name fits no module of the decoder.
 */
export function planLora(decoder: Decoder, settings: LoraSettings): Lora {
  const { targets, modulesToSave } = settings;
  const { linears, tied } = findModules(decoder);
  const all = new Set(Array.from(decoder.parameters.keys(), moduleName));
  const find = (setting: string, names: readonly string[], among: Iterable<string>) => {
    const modules = [...among];
    for (const name of names)
      if (!modules.some((module) => isMeant(name, module)))
        throw new Error(`${setting}: expected names such as ${lastParts(modules)}, got ${name}`);
    return new Set(modules.filter((module) => names.some((name) => isMeant(name, module))));
  };
  const whole = find("train.method.modulesToSave", modulesToSave, all);
  const chosen =
    targets === "all-linear"
      ? new Set([...linears.keys()].filter((module) => !whole.has(module)))
      : find("train.method.targets", targets, linears.keys());
  const adapted = new Map([...linears].filter(([module]) => chosen.has(module)));
  try {
    return createLora(decoder, settings, { linears: adapted, tied }, whole);
  } catch (error) {
    throw new Error(`train.method.modulesToSave: ${(error as Error).message}`, { cause: error });
  }
}

/** The builder with another product; both add to one graph. */
const withGemm = (b: Builder, gemm: Builder["gemm"]): Builder =>
  new Proxy(b, {
    get(target, key) {
      if (key === "gemm") return gemm;
      const own: unknown = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });

/** The decoder with its adapters, whose matrices are further parameters; `trainedShapes` names them. */
export function adaptDecoder(decoder: Decoder, lora: Lora): Decoder {
  const scale = loraScale(lora);
  return {
    ...decoder,
    parameters: new Map([...decoder.parameters, ...trainedShapes(decoder, lora)]),
    hidden(b, parameter, tokens) {
      const modules = new Map<Value, string>();
      for (const module of lora.adapted.keys()) modules.set(parameter(`${module}.weight`), module);
      const adapted = withGemm(b, (x_TK, weight, options, c) => {
        const y_TN = b.gemm(x_TK, weight, options, c);
        const module = modules.get(weight);
        if (module === undefined) return y_TN;
        const narrow_Tr = b.gemm(x_TK, parameter(nameA(module)), { transposeB: true });
        const scaled_Tr = b.mul(narrow_Tr, b.scalar(scale));
        return b.gemm(scaled_Tr, parameter(nameB(module)), { transposeB: true }, y_TN);
      });
      return decoder.hidden(adapted, parameter, tokens);
    },
  };
}
