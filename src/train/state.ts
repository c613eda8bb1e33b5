/** @file What training has made so far: the weights, and the optimizer's state of each, checked and on disk. */
import { sizeOf } from "../graph/ops.ts";
import { describeNonFinite } from "../weights/finite.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";
import { type Tensor, isWeightRef, readTensor } from "../weights/tensor-ref.ts";
import type { Optimizer, Parameter } from "./optimizer.ts";

/** The square of a larger weight overflows float32, and so would the norm of all of them. */
const maxWeight = 2 ** 64;

/** Weights under training, each with its optimizer state. */
export class TrainingState {
  /** By name; updated in place. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly #optimizer: Optimizer;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  #steps = 0;

  constructor(weights: ReadonlyMap<string, Tensor>, optimizer: Optimizer) {
    this.weights = weights;
    this.#optimizer = optimizer;
    this.#parameters = new Map(
      Array.from(weights, ([name, { shape, data }]) => {
        const shapes = Object.entries(optimizer.state(shape));
        const state = shapes.map(([key, own]) => [key, new Float32Array(sizeOf(own))] as const);
        return [name, { shape, value: data, state: Object.fromEntries(state) }];
      }),
    );
  }

  /** Optimizer steps so far. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * One step of the optimizer on every weight.
   * @throws naming the first weight that is not finite afterwards, or too large: from then on nothing can be saved.
   */
  step(
    gradients: ReadonlyMap<string, Float32Array>,
    options: { readonly learningRate: number; readonly gradientScale: number },
  ): void {
    this.#steps++;
    for (const [name, parameter] of this.#parameters)
      this.#optimizer.step(parameter, gradients.get(name)!, { ...options, step: this.#steps });
    const wrong = describeNonFinite(this.weights, maxWeight);
    if (wrong)
      throw new Error(
        `train: ${wrong} after step ${this.#steps}: the learning rate of ${options.learningRate} is too large; lower train.learningRate`,
      );
  }

  /** Everything a checkpoint holds, by its name there: each weight, and its state as `exp_avg.NAME`. */
  *#tensors(): Generator<[string, Tensor]> {
    for (const [name, { shape, value, state }] of this.#parameters) {
      yield [name, { shape, data: value }];
      for (const [key, own] of Object.entries(this.#optimizer.state(shape)))
        yield [`${key}.${name}`, { shape: own, data: state[key] }];
    }
  }

  /** @throws naming the first number that is not finite, or the first weight that is too large to be trained on. */
  check(): void {
    const wrong = describeNonFinite(this.weights, maxWeight) ?? describeNonFinite(new Map(this.#tensors()));
    if (wrong) throw new Error(`train: ${wrong} after step ${this.#steps}; it is not saved`);
  }

  /**
   * Writes weights and optimizer state to one file.
   * @throws as `check` does, before anything is written, so that no good checkpoint is replaced.
   */
  async save(path: string): Promise<void> {
    this.check();
    await writeSafetensors(path, new Map(this.#tensors()));
  }

  /**
   * Continues from what `save` wrote after so many steps.
   * @throws naming file and tensor, if the file is of another model or optimizer, or holds a number that is not finite.
   */
  restore(path: string, steps: number): void {
    const stored = readSafetensors(path);
    const sources = Array.from(this.#tensors(), ([name, { data }]) => {
      const tensor = stored.get(name);
      if (!tensor)
        throw new Error(`${path}: there is no tensor ${name}, which this model and optimizer need`);
      const length = sizeOf(tensor.shape);
      if (length !== data.length || !isWeightRef(tensor))
        throw new Error(
          `${path}: tensor ${name} has ${length} elements of ${tensor.dtype}, expected ${data.length} numbers`,
        );
      return { name, tensor, data };
    });
    for (const { name, tensor, data } of sources) {
      const wrong = describeNonFinite(new Map([[name, readTensor(tensor, data)]]));
      if (wrong) throw new Error(`${path}: ${wrong}`);
    }
    this.#steps = steps;
  }
}
