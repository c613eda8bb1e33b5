/** @file The model being trained: gradients over micro-batches, AdamW steps, evaluation, its state on disk. */
import { sizeOf } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { describeNonFinite } from "../weights/finite.ts";
import { type Tensor, isWeightRef, readTensor } from "../weights/tensor-ref.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Data, type Program, compile, free } from "../onnx/session.ts";
import { Scorer } from "../score/scorer.ts";
import { findNonFiniteScore } from "../score/scores.ts";
import { type AdamWOptions, type AdamWState, adamWStep } from "./adamw.ts";
import { type BatchShape, gradientOf, gradientSumOf, trainingGraph } from "./loss.ts";

// R rows, L row length, T = R·L tokens, K entries of a soft target.

/** The square of a larger number is infinite in float32, so that no norm can be taken of it. */
const largestWeight = 2 ** 64;

/** One micro-batch. Row after row; places that are not trained on have weight 0. */
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

export interface TrainerOptions extends AdamWOptions {
  readonly shape: BatchShape;
  /** Whether a step has more than one micro-batch. */
  readonly accumulate: boolean;
  /** Gradients with a larger global norm are scaled down to it. */
  readonly clip: number;
  readonly device: ResolvedDevice;
  readonly threads: number;
}

export interface StepResult {
  /** Σ w·(−Σ q log p): the loss that was minimized. */
  readonly loss: number;
  /** Mean −log p(next) of the tokens that are trained on, each counting the same; none where there are none. */
  readonly nll: number | undefined;
  /** Σ w·q(next)·(−log p(next)): the part of the loss that is due to the true token. */
  readonly nllPart: number;
  readonly gradientNorm: number;
}

export class Trainer {
  readonly #decoder: Decoder;
  readonly #options: TrainerOptions;
  readonly #program: Program;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  readonly #slots: Map<string, AdamWState>;
  #scorer: Scorer | undefined;
  #steps = 0;

  private constructor(
    decoder: Decoder,
    parameters: ReadonlyMap<string, Tensor>,
    options: TrainerOptions,
    program: Program,
  ) {
    this.#decoder = decoder;
    this.#options = options;
    this.#program = program;
    this.#parameters = parameters;
    this.#slots = new Map(
      Array.from(parameters, ([name, { data, shape }]) => [
        name,
        {
          value: data,
          exp_avg: new Float32Array(data.length),
          exp_avg_sq: new Float32Array(data.length),
          decays: shape.length > 1,
        },
      ]),
    );
  }

  static async create(
    decoder: Decoder,
    parameters: ReadonlyMap<string, Tensor>,
    options: TrainerOptions,
  ): Promise<Trainer> {
    const graph = trainingGraph(decoder, options.shape, options.accumulate);
    return new Trainer(decoder, parameters, options, await compile(graph, options.device, options.threads));
  }

  get parameters(): ReadonlyMap<string, Tensor> {
    return this.#parameters;
  }

  #weights(): Record<string, Data> {
    return Object.fromEntries(Array.from(this.#parameters, ([name, { data }]) => [name, data]));
  }

  /**
   * The gradients of the micro-batches together. The caller frees them.
   * @throws if the loss or the gradient's norm is not finite, before any weight has changed.
   */
  async gradients(batches: readonly Batch[]) {
    let [loss, nlls, tokens, nllPart, gradientNorm] = [0, 0, 0, 0, 0];
    const { entries } = this.#options.shape;
    let gradients = new Map<string, Float32Array>();
    if (this.#options.accumulate)
      for (const [name, { data }] of this.#parameters) gradients.set(name, new Float32Array(data.length));
    for (const batch of batches) {
      const { weights, probabilities } = batch;
      const sums = Array.from(gradients, ([name, sum]) => [gradientSumOf(name), sum] as const);
      const results = await this.#program.run({
        ...this.#weights(),
        ...batch,
        ...(this.#options.accumulate && Object.fromEntries(sums)),
      });
      free(gradients.values());
      gradients = new Map(
        Array.from(this.#parameters.keys(), (name) => [name, results[gradientOf(name)] as Float32Array]),
      );
      loss += results.loss[0];
      results.nll.forEach((value, t) => {
        if (weights[t] === 0) return;
        nlls += value;
        tokens++;
        nllPart += weights[t] * value * probabilities[t * entries];
      });
      gradientNorm = Math.sqrt(results.squaredNorm[0]);
      free([results.loss, results.nll, results.squaredNorm]);
    }
    const wrong = !Number.isFinite(loss)
      ? `the loss is ${loss}`
      : !Number.isFinite(gradientNorm) && `the gradient's norm is ${gradientNorm}`;
    if (wrong) {
      free(gradients.values());
      throw new Error(
        `train: ${wrong}, and no weight was changed; all of them are numbers, so a lower train.learningRate may help`,
      );
    }
    const nll = tokens > 0 ? nlls / tokens : undefined;
    return { loss, nll, nllPart, gradientNorm, gradients };
  }

  /**
   * One optimizer step on the micro-batches together.
   * @throws as `gradients` does; or if a weight is no number afterwards, or so large that its square is none: from
   *   then on nothing can be saved.
   */
  async step(batches: readonly Batch[], learningRate: number): Promise<StepResult> {
    const { gradients, ...losses } = await this.gradients(batches);
    // As PyTorch's clip_grad_norm_, the small constant included.
    const scale = Math.min(1, this.#options.clip / (losses.gradientNorm + 1e-6));
    this.#steps++;
    for (const [name, slot] of this.#slots)
      adamWStep(slot, gradients.get(name)!, this.#options, this.#steps, learningRate, scale);
    free(gradients.values());
    const wrong = describeNonFinite(this.#parameters, largestWeight);
    if (wrong)
      throw new Error(
        `train: ${wrong} after step ${this.#steps}: the learning rate of ${learningRate} is too large; lower train.learningRate`,
      );
    return losses;
  }

  /**
   * −log p(next) at each position of each sequence, under the weights as they are now.
   * @throws if one is not finite.
   */
  async nll(sequences: readonly Int32Array[]): Promise<Float32Array[]> {
    const { shape, device, threads } = this.#options;
    // A sample may be longer than what is trained on at a time.
    const rowLength = sequences.reduce((most, { length }) => Math.max(most, length), shape.length);
    const options = {
      rows: Math.ceil((shape.rows * shape.length) / rowLength),
      rowLength,
      k: 0,
      tokenizerSize: this.#decoder.vocabulary,
      device,
      threads,
    };
    this.#scorer ??= await Scorer.create(this.#decoder, this.#parameters, options);
    const scores = await this.#scorer.score(sequences);
    const wrong = findNonFiniteScore(scores);
    if (wrong)
      throw new Error(
        `evaluate: −log p of a token is ${wrong.value} after step ${this.#steps}; a lower train.learningRate may help`,
      );
    return scores.map(({ nll }) => nll);
  }

  /** @throws if a weight or a moment is no number, or such a weight too large: such a state is of no use, and would take a better one's place. */
  checkState(): void {
    for (const [name, { value, exp_avg, exp_avg_sq }] of this.#slots) {
      const { shape } = this.#parameters.get(name)!;
      const of = (key: string, data: Float32Array) => new Map([[key, { shape, data }]]);
      const wrong =
        describeNonFinite(of(name, value), largestWeight) ??
        describeNonFinite(of(`adamw.first.${name}`, exp_avg)) ??
        describeNonFinite(of(`adamw.second.${name}`, exp_avg_sq));
      if (wrong) throw new Error(`train: ${wrong} after step ${this.#steps}; it is not saved`);
    }
  }

  /**
   * Writes weights and moments to one file.
   * @throws as `checkState` does, before anything is written.
   */
  async save(path: string): Promise<void> {
    this.checkState();
    const tensors = new Map<string, Tensor>();
    for (const [name, { value, exp_avg, exp_avg_sq }] of this.#slots) {
      const { shape } = this.#parameters.get(name)!;
      tensors.set(name, { shape, data: value });
      tensors.set(`adamw.first.${name}`, { shape, data: exp_avg });
      tensors.set(`adamw.second.${name}`, { shape, data: exp_avg_sq });
    }
    await writeSafetensors(path, tensors);
  }

  /**
   * Goes on from what `save` wrote after that many steps.
   * @throws naming the file and tensor, if the file is of another model, or holds what is no number.
   */
  restore(path: string, steps: number): void {
    const tensors = readSafetensors(path);
    const copy = (name: string, into: Float32Array) => {
      const tensor = tensors.get(name);
      const length = tensor && sizeOf(tensor.shape);
      if (!tensor || length !== into.length || !isWeightRef(tensor))
        throw new Error(
          `${path}: tensor ${name} has ${length ?? "no"} elements, the model needs ${into.length}`,
        );
      const wrong = describeNonFinite(new Map([[name, readTensor(tensor, into)]]));
      if (wrong) throw new Error(`${path}: ${wrong}`);
    };
    for (const [name, { value, exp_avg, exp_avg_sq }] of this.#slots) {
      copy(name, value);
      copy(`adamw.first.${name}`, exp_avg);
      copy(`adamw.second.${name}`, exp_avg_sq);
    }
    this.#steps = steps;
  }

  async close(): Promise<void> {
    await this.#program.close();
    await this.#scorer?.close();
  }
}
