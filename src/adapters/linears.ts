/** @file Which parameters of a decoder are linear layers, read off its forward pass. */
import { Builder } from "../graph/build.ts";
import { type Value, isNode } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { addParameters, packedTokens } from "../models/tokens.ts";

/** A linear layer: a matrix that activations are multiplied by. */
export interface Linear {
  readonly from: number;
  readonly to: number;
  /** Whether the weight is stored as [from, to], as in GPT-2, and not as [to, from]. */
  readonly transposed: boolean;
}

export interface Modules {
  /** Linear layers by the names of their modules, without the output head. */
  readonly linears: ReadonlyMap<string, Linear>;
  /** Whether the output head is the embedding, too. */
  readonly tied: boolean;
}

const inputName = ({ node }: Value) => (isNode(node, "input") ? node.attributes.name : undefined);

/** "model.norm" of "model.norm.weight" */
export const moduleName = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf("."));

/** "norm" of "model.norm" */
export const lastPart = (module: string): string => module.slice(module.lastIndexOf(".") + 1);

/** The linear layers of a decoder's forward pass, in its order. */
export function findModules(decoder: Decoder): Modules {
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  decoder.hidden(b, (name) => parameters.get(name)!, packedTokens(b, 1, 1));
  const linears = new Map<string, Linear>();
  let tied = false;
  for (const node of b.nodes) {
    if (node.inputs.some((input) => inputName(input) === decoder.head)) tied = true;
    if (!isNode(node, "gemm")) continue;
    const weight = inputName(node.inputs[1]);
    if (weight === undefined || !decoder.parameters.has(weight)) continue;
    const transposed = !node.attributes.transposeB;
    const [rows, columns] = decoder.parameters.get(weight)!;
    const [from, to] = transposed ? [rows, columns] : [columns, rows];
    linears.set(moduleName(weight), { from, to, transposed });
  }
  return { linears, tied };
}
