/** @file A compiled graph as its callers see it. Importing this does not load ONNX Runtime. */
import type { WeightRef } from "../weights/tensor-ref.ts";
import type { Quantized } from "./quantize.ts";
import type { ResidentValues } from "./resident.ts";

export type Data = Float32Array | Int32Array;

/** Weights that a program reads from their files. */
export interface FrozenWeights {
  readonly refs: ReadonlyMap<string, WeightRef>;
  /**
   * int8 weights by name, quantized lazily and shared by all programs of a model; set to enable dynamic int8
   * matrix products: several times faster on CPUs with instructions for them, and not exact.
   */
  readonly int8?: Map<string, Quantized> | undefined;
  /**
   * Whether the runtime may prepack weights, which puts each in memory once more: worth it where products have
   * few rows, as in decoding.
   */
  readonly prepacked?: boolean;
  /** Receives the fraction of the weights that has been quantized. */
  readonly onQuantized?: ((fraction: number) => void) | undefined;
}

/** Which values of a graph stay where they are computed, instead of crossing to the caller at every run. */
export interface Residency {
  /** Inputs that are not fed. */
  readonly inputs?: Iterable<string>;
  /**
   * Outputs that are not returned: each becomes the value of the given name, replacing what it held. If that is a
   * resident input, it is what the next run reads.
   */
  readonly carry?: ReadonlyMap<string, string>;
  /** Values to share with other programs on the same device; by default the program has its own. */
  readonly values?: ResidentValues;
}

export interface CompileOptions {
  readonly weights?: FrozenWeights | undefined;
  readonly resident?: Residency | undefined;
}

export interface Program extends Pick<ResidentValues, "write" | "clear" | "read"> {
  /** Names of the inputs that `run` is fed. */
  readonly inputs: readonly string[];
  /**
   * Runs the graph once, and returns the outputs that are not carried over.
   * @param feeds one array per input that is neither frozen nor resident; on the CPU they are read in place.
   * @param lengths the graph's symbolic dimensions in this run, by name.
   * @throws if an input is missing or has the wrong number of elements.
   */
  run(
    feeds: Readonly<Record<string, Data>>,
    lengths?: Readonly<Record<string, number>>,
  ): Promise<Record<string, Data>>;
  /** Releases the program, and its resident values unless they are shared. */
  close(): Promise<void>;
}

/**
 * Frees the memory of results at once. Every run returns fresh arrays, and the garbage collector, which sees only
 * their small wrappers, lets them pile up: freed by hand, memory stays flat and is reused, which made runs with
 * large outputs several times faster.
 */
export function free(results: Iterable<Data>): void {
  for (const { buffer } of results) (buffer as ArrayBuffer).transfer(0);
}
