/**
 * @file Continuous batching (Yu et al., 2022): sequences join and leave between steps. Prompts are prefilled in
 * chunks, so that they do not hold up the others' tokens, and a prefix that prompts share is computed once. The engine
 * knows token ids only: no text, no tensor.
 */
import { logProbabilities } from "./logits.ts";
import type { ModelRunner } from "./model-runner.ts";
import type { EngineEvent, EngineStatistics, GenerationRequest } from "./protocol.ts";
import { type Row, addScores, cachedPrefixLength, findLongestPrefix, prefillChunk } from "./rows.ts";
import { Sampler } from "./sample.ts";

/** Generates the sequences of queued requests, in as many rows as the model's cache has. */
export class Engine {
  readonly #model: ModelRunner;
  readonly #rows: Row[];
  readonly #queue: GenerationRequest[] = [];
  readonly #emit: (event: EngineEvent) => void;
  /** Rows in decoding, which are the first. */
  #decoding = 0;
  #promptTokens = 0;
  #cachedTokens = 0;
  #generatedTokens = 0;

  /** @param slots sequences at a time: rows of the model's cache */
  constructor(model: ModelRunner, slots: number, emit: (event: EngineEvent) => void) {
    this.#model = model;
    this.#rows = Array.from({ length: slots }, () => ({ tokens: [], prefilled: 0 }));
    this.#emit = emit;
  }

  /** Queues a request; events come with the steps. */
  submit(request: GenerationRequest): void {
    this.#queue.push(request);
  }

  /** Drops a request; its slot is free at once. Unknown ids are ignored. */
  cancel(id: number): void {
    const queued = this.#queue.findIndex((request) => request.id === id);
    if (queued >= 0) this.#queue.splice(queued, 1);
    const row = this.#rows.findIndex(({ sequence }) => sequence?.request.id === id);
    if (row >= 0) this.#release(row);
  }

  get #active(): number {
    return this.#rows.filter(({ sequence }) => sequence).length;
  }

  /** Whether there is anything to do. */
  get busy(): boolean {
    return this.#queue.length > 0 || this.#active > 0;
  }

  statistics(): EngineStatistics {
    return {
      slots: this.#rows.length,
      active: this.#active,
      queued: this.#queue.length,
      cacheBytes: this.#model.cacheBytes,
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      generatedTokens: this.#generatedTokens,
    };
  }

  /** Admits requests, prefills one chunk of one prompt, and decodes one token of every other sequence. */
  async step(): Promise<void> {
    while (this.#queue.length && this.#active < this.#rows.length) this.#admit(this.#queue.shift()!);
    await this.#prefill();
    await this.#decode();
  }

  /** Gives a request the row with most of its prompt cached, or else the free row with least. */
  #admit(request: GenerationRequest): void {
    const { prompt, sampling, scored } = request;
    const cached = this.#rows.map((row) => cachedPrefixLength(row, prompt));
    const best = findLongestPrefix(this.#rows, prompt).row;
    const free = this.#rows.flatMap(({ sequence }, row) => (sequence ? [] : [row]));
    const row = free.includes(best) ? best : free.toSorted((a, b) => cached[a] - cached[b])[0];
    const kept = scored ? 0 : cached[row];
    this.#promptTokens += prompt.length;
    this.#cachedTokens += kept;
    const sequence = { request, sampler: new Sampler(sampling, prompt), generated: 0 };
    this.#rows[row] = { tokens: [...prompt.subarray(0, kept)], prefilled: kept, sequence };
    this.#reusePrefix(row);
  }

  /** Copies a longer prefix of a row's prompt from another row that has it cached. */
  #reusePrefix(to: number): void {
    const row = this.#rows[to];
    const { prompt, scored } = row.sequence!.request;
    // A scored prompt needs a forward pass of every token.
    if (scored) return;
    const { row: from, length } = findLongestPrefix(this.#rows, prompt);
    if (length <= row.tokens.length) return;
    this.#model.copyRow(from, to, length);
    this.#cachedTokens += length - row.tokens.length;
    row.tokens = [...prompt.subarray(0, length)];
    row.prefilled = length;
  }

  /** Prefills the next chunk of the oldest prompt. */
  async #prefill(): Promise<void> {
    const pending = this.#rows.flatMap(({ sequence }, row) =>
      sequence && row >= this.#decoding ? [{ row, id: sequence.request.id }] : [],
    );
    if (pending.length === 0) return;
    const [{ row: at }] = pending.sort((a, b) => a.id - b.id);
    // A prompt that was admitted at the same time may have computed a shared prefix since.
    this.#reusePrefix(at);
    const row = this.#rows[at];
    const sequence = row.sequence!;
    const { prompt, scored } = sequence.request;
    const from = row.tokens.length;
    const chunk = prompt.slice(from, from + prefillChunk);
    let logits: Float32Array;
    if (scored) {
      const next = new Int32Array(chunk.length);
      next.set(prompt.subarray(from + 1, from + 1 + chunk.length));
      const result = await this.#model.score(at, from, chunk, next);
      addScores(sequence, from, result.scores);
      logits = result.logits;
    } else logits = await this.#model.prefill(at, from, chunk);
    row.tokens.push(...chunk);
    row.prefilled = row.tokens.length;
    if (row.tokens.length === prompt.length) this.#finishPrefill(at, logits);
  }

  /** Emits the prompt's scores and samples the first token; without one to generate, the sequence is done. */
  #finishPrefill(at: number, logits_V: Float32Array): void {
    const { request, scores } = this.#rows[at].sequence!;
    const { id, maxTokens } = request;
    if (scores) this.#emit({ id, scores, ...(maxTokens === 0 && { finish: "length" }) });
    if (maxTokens === 0) {
      this.#release(at);
      return;
    }
    this.#swap(at, this.#decoding++);
    this.#sample(this.#rows[this.#decoding - 1], logits_V);
  }

  /** Feeds each decoding row its last token, and samples the next. */
  async #decode(): Promise<void> {
    const count = this.#decoding;
    if (count === 0) return;
    const rows = this.#rows.slice(0, count);
    const ids = Int32Array.from(rows, ({ sequence }) => sequence!.next!);
    const positions = rows.map(({ tokens }) => tokens.length);
    const logits = await this.#model.decode(positions, ids);
    const vocabulary = logits.length / count;
    // All rows before the first sample: a sequence that finishes swaps rows, with their tokens.
    for (const [i, { tokens }] of rows.entries()) tokens.push(ids[i]);
    for (const [i, row] of rows.entries())
      this.#sample(row, logits.subarray(i * vocabulary, (i + 1) * vocabulary));
  }

  /** Samples a row's next token and emits it; the sequence leaves with its last. */
  #sample(row: Row, logits_V: Float32Array): void {
    const sequence = row.sequence!;
    const { id, maxTokens, stopTokens, stopIds, logprobs } = sequence.request;
    const token = sequence.sampler.sample(logits_V);
    sequence.next = token;
    sequence.generated++;
    this.#generatedTokens++;
    const stopped = stopTokens.includes(token) || stopIds?.includes(token);
    const finish = stopped ? "stop" : sequence.generated === maxTokens ? "length" : undefined;
    const probabilities = logprobs === undefined ? {} : logProbabilities(logits_V, token, logprobs);
    this.#emit({ id, token, ...probabilities, ...(finish && { finish }) });
    if (finish) this.#release(this.#rows.indexOf(row));
  }

  #swap(one: number, other: number): void {
    if (one === other) return;
    this.#model.swapRows(one, other);
    [this.#rows[one], this.#rows[other]] = [this.#rows[other], this.#rows[one]];
  }

  /** Frees a row. Its tokens stay cached for prompts that start with them. */
  #release(row: number): void {
    this.#rows[row].sequence = undefined;
    if (row < this.#decoding) this.#swap(row, --this.#decoding);
    // Each sequence needs its prompt, or what it has by now, and the next token.
    const needed = this.#rows.flatMap(({ sequence, tokens }) =>
      sequence ? [Math.max(sequence.request.prompt.length, tokens.length) + 1] : [],
    );
    // With no sequence left, the cache stays for the next.
    if (needed.length === 0) return;
    // Short sequences would pay for the capacity of a long one that is gone.
    this.#model.shrink(Math.max(...needed));
    for (const { tokens } of this.#rows) tokens.length = Math.min(tokens.length, this.#model.capacity);
  }
}
