/** @file Trains a model: gradients over micro-batches, optimizer steps, and evaluation under the weights so far. */
import type { Decoder } from "../models/decoder.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { openValues } from "../onnx/open-values.ts";
import { type FrozenWeights, type Program, free } from "../onnx/program.ts";
import type { ResidentValues } from "../onnx/resident.ts";
import { compile } from "../onnx/session.ts";
import { Scorer } from "../score/scorer.ts";
import { findNonFiniteScore } from "../score/scores.ts";
import type { Tensor } from "../weights/tensor-ref.ts";
import { type BatchShape, type Recompute, gradientName, gradientSumName, trainingGraph } from "./loss.ts";
import { type OptimizerSettings, createOptimizer } from "./optimizers.ts";
import { TrainingState } from "./state.ts";

// R rows, L row length, T = R·L tokens, K entries of a soft target.

/** One micro-batch, row after row. Positions that are not trained on have weight 0. */
export interface Batch {
  /** i32[T] each */
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly documents: Int32Array;
  /** i32[T·K] and f32[T·K], which sum to 1 over K; the first entry is the true next token */
  readonly targets: Int32Array;
  readonly probabilities: Float32Array;
  /** f32[T], summing to 1 over all micro-batches of a step */
  readonly weights: Float32Array;
}

export interface TrainerOptions {
  readonly shape: BatchShape;
  /** Whether a step has more than one micro-batch. */
  readonly accumulate: boolean;
  readonly recompute: Recompute;
  readonly optimizer: OptimizerSettings;
  /** Gradients with a larger global norm are scaled down to it. */
  readonly clip: number;
  readonly device: ResolvedDevice;
  readonly threads: number;
  /** The decoder's other parameters, which stay as they are in their files; undefined: all are trained. */
  readonly frozen?: FrozenWeights | undefined;
}

export interface StepResult {
  /** Σ w·(−Σ q log p): the loss that was minimized. */
  readonly loss: number;
  /** Mean −log p(next) of the tokens that are trained on, each counting the same; undefined if there are none. */
  readonly nll: number | undefined;
  /** Σ w·q(next)·(−log p(next)): the true token's part of the loss. */
  readonly nllPart: number;
  readonly gradientNorm: number;
}

/** A model being trained on batches of one shape. The caller closes it. */
export class Trainer {
  readonly #decoder: Decoder;
  readonly #options: TrainerOptions;
  readonly #state: TrainingState;
  /** The trained weights, shared with the scorer, and the gradients of a step. */
  readonly #values: ResidentValues;
  readonly #program: Program;
  #scorer: Scorer | undefined;

  private constructor(
    decoder: Decoder,
    options: TrainerOptions,
    state: TrainingState,
    values: ResidentValues,
    program: Program,
  ) {
    this.#decoder = decoder;
    this.#options = options;
    this.#state = state;
    this.#values = values;
    this.#program = program;
    this.#writeWeights();
  }

  /** @param weights to train, by their names in the decoder; they are updated in place. */
  static async create(
    decoder: Decoder,
    weights: ReadonlyMap<string, Tensor>,
    options: TrainerOptions,
  ): Promise<Trainer> {
    const { shape, accumulate, recompute, optimizer, device, threads, frozen } = options;
    const values = openValues(device);
    const names = [...weights.keys()];
    const graph = trainingGraph(decoder, { shape, accumulate, recompute, trained: names });
    const program = await compile(graph, device, threads, {
      weights: frozen,
      resident: {
        inputs: accumulate ? [...names, ...names.map(gradientSumName)] : names,
        carry: new Map(names.map((name) => [gradientName(name), gradientSumName(name)])),
        values,
      },
    });
    const state = new TrainingState(weights, createOptimizer(optimizer));
    return new Trainer(decoder, options, state, values, program);
  }

  get weights(): ReadonlyMap<string, Tensor> {
    return this.#state.weights;
  }

  #writeWeights(): void {
    for (const [name, { data }] of this.#state.weights) this.#values.write(name, data);
  }

  #clearGradients(): void {
    for (const name of this.#state.weights.keys()) this.#values.clear(gradientSumName(name));
  }

  /**
   * The gradients of the micro-batches together, and the losses. They are valid until the next call.
   * @throws if the loss or the gradient's norm is not finite; no weight has changed then.
   */
  async gradients(batches: readonly Batch[]): Promise<StepResult & { gradients: Map<string, Float32Array> }> {
    let [loss, nlls, tokens, nllPart, gradientNorm] = [0, 0, 0, 0, 0];
    const { entries } = this.#options.shape;
    this.#clearGradients();
    for (const batch of batches) {
      const { weights, probabilities } = batch;
      const results = await this.#program.run({ ...batch });
      loss += results.loss[0];
      results.nll.forEach((value, t) => {
        if (weights[t] === 0) return;
        nlls += value;
        tokens++;
        nllPart += weights[t] * value * probabilities[t * entries];
      });
      gradientNorm = Math.sqrt(results.squaredNorm[0]);
      free(Object.values(results));
    }
    const wrong = !Number.isFinite(loss)
      ? `the loss is ${loss}`
      : !Number.isFinite(gradientNorm) && `the gradient's norm is ${gradientNorm}`;
    if (wrong) {
      this.#clearGradients();
      throw new Error(
        `train: ${wrong}; no weight was changed, and all of them are finite, so a lower train.learningRate may help`,
      );
    }
    const gradients = new Map<string, Float32Array>();
    for (const name of this.#state.weights.keys())
      gradients.set(name, (await this.#values.read(gradientSumName(name))) as Float32Array);
    return { loss, nll: tokens > 0 ? nlls / tokens : undefined, nllPart, gradientNorm, gradients };
  }

  /**
   * One optimizer step on the micro-batches together.
   * @throws as `gradients` and `TrainingState.step` do.
   */
  async step(batches: readonly Batch[], learningRate: number): Promise<StepResult> {
    const { gradients, ...losses } = await this.gradients(batches);
    // As PyTorch's clip_grad_norm_, the small constant included.
    const gradientScale = Math.min(1, this.#options.clip / (losses.gradientNorm + 1e-6));
    this.#state.step(gradients, { learningRate, gradientScale });
    this.#clearGradients();
    this.#writeWeights();
    return losses;
  }

  /**
   * −log p(next) at each position of each sequence, under the weights as they are now.
   * @throws if one is not finite.
   */
  async nll(sequences: readonly Int32Array[]): Promise<Float32Array[]> {
    const { shape, device, threads, frozen } = this.#options;
    // A sample may be longer than what is trained on at a time.
    const rowLength = sequences.reduce((longest, { length }) => Math.max(longest, length), shape.length);
    this.#scorer ??= await Scorer.create(this.#decoder, frozen, {
      values: this.#values,
      rows: Math.ceil((shape.rows * shape.length) / rowLength),
      rowLength,
      k: 0,
      tokenizerSize: this.#decoder.vocabulary,
      device,
      threads,
    });
    const scores = await this.#scorer.score(sequences);
    const wrong = findNonFiniteScore(scores);
    if (wrong)
      throw new Error(
        `evaluate: −log p of a token is ${wrong.value} after step ${this.#state.steps}; a lower train.learningRate may help`,
      );
    return scores.map(({ nll }) => nll);
  }

  /** @throws as `TrainingState.check` does. */
  checkState(): void {
    this.#state.check();
  }

  /** Writes a checkpoint, as `TrainingState.save` does. */
  save(path: string): Promise<void> {
    return this.#state.save(path);
  }

  /** Continues from a checkpoint, as `TrainingState.restore` does. */
  restore(path: string, steps: number): void {
    this.#state.restore(path, steps);
    this.#writeWeights();
  }

  async close(): Promise<void> {
    await this.#program.close();
    await this.#scorer?.close();
    await this.#values.close();
  }
}
