/**
 * @file Generates many texts at a time: requests join and leave between steps (continuous batching; Yu et
 * al., 2022), prompts are read in chunks so that the others' tokens go on, and what prompts begin with in
 * common is computed once.
 */
import type { CacheShape } from "../models/inference.ts";
import { type Data, type Program, free } from "../onnx/program.ts";
import type { Scores } from "../score/scores.ts";
import type { EngineStatistics, TokenGenerated, GenerationRequest, EngineEvent } from "./requests.ts";
import { type Row, type Text, addScores, prefillChunk, cachedPrefixLength } from "./rows.ts";
import { Sampler, logSumExp, mostLikely } from "./sample.ts";
import { Slots, bytesPerPlace, capacityFor, capacityWithin } from "./slots.ts";

/** Graphs of slots (models/inference.ts). */
export interface Programs {
  /** For rows of several tokens. */
  readonly prefill: Program;
  /**
   * For rows of one token. With weights laid out anew the runtime rounds each row in the same way, however
   * many there are; as they lie in their files, a single one would be rounded in another.
   */
  readonly decode: Program;
  /** As `read`, for prompts that are scored (score/graph.ts); made when it is first needed. */
  readonly score: () => Promise<Program>;
}

export class Engine {
  readonly #programs: Programs;
  readonly #slots: Slots;
  readonly #rows: Row[];
  readonly #queue: GenerationRequest[] = [];
  readonly #emit: (told: EngineEvent) => void;
  /** Rows that generate. */
  #decoding = 0;
  #promptTokens = 0;
  #cachedTokens = 0;
  #generatedTokens = 0;

  /** @param slots texts that are generated at a time */
  constructor(programs: Programs, cache: CacheShape, slots: number, emit: (told: EngineEvent) => void) {
    this.#programs = programs;
    this.#slots = new Slots(cache, slots);
    this.#rows = Array.from({ length: slots }, () => ({ tokens: [], reusablePrefix: 0 }));
    this.#emit = emit;
  }

  submit(request: GenerationRequest): void {
    this.#queue.push(request);
  }

  /** Forgets a request; its slot is free at once. */
  cancel(id: number): void {
    const queued = this.#queue.findIndex((request) => request.id === id);
    if (queued >= 0) this.#queue.splice(queued, 1);
    const row = this.#rows.findIndex(({ text }) => text?.request.id === id);
    if (row >= 0) this.#leave(row);
  }

  get busy(): boolean {
    return this.#queue.length > 0 || this.#active > 0;
  }

  statistics(): EngineStatistics {
    return {
      slots: this.#rows.length,
      active: this.#active,
      queued: this.#queue.length,
      cacheBytes: this.#slots.bytes,
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      generatedTokens: this.#generatedTokens,
    };
  }

  /** One chunk of one prompt, and one token of every text whose prompt is read. */
  async step(): Promise<void> {
    while (this.#queue.length && this.#active < this.#rows.length) this.#join(this.#queue.shift()!);
    await this.#read();
    await this.#decode();
  }

  get #active(): number {
    return this.#rows.filter(({ text }) => text).length;
  }

  #swap(one: number, other: number): void {
    if (one === other) return;
    const places = Math.max(this.#rows[one].tokens.length, this.#rows[other].tokens.length);
    this.#slots.swap(one, other, places);
    [this.#rows[one], this.#rows[other]] = [this.#rows[other], this.#rows[one]];
  }

  /** Gives a request the row that knows most of its prompt, or of the free ones that which knows least of it. */
  #join(request: GenerationRequest): void {
    const { prompt, sampling, scored } = request;
    const known = this.#rows.map((row) => cachedPrefixLength(row, prompt));
    const most = known.indexOf(Math.max(...known));
    const free = this.#rows.flatMap(({ text }, row) => (text ? [] : [row]));
    const row = free.includes(most) ? most : free.toSorted((a, b) => known[a] - known[b])[0];
    const kept = scored ? 0 : known[row];
    this.#promptTokens += prompt.length;
    this.#cachedTokens += kept;
    const text = { request, sampler: new Sampler(sampling, prompt), generated: 0 };
    this.#rows[row] = { tokens: [...prompt.subarray(0, kept)], reusablePrefix: kept, text };
    this.#share(row);
  }

  /** Takes from another row what is known there of a prompt, and not here. */
  #share(at: number): void {
    const row = this.#rows[at];
    const { prompt, scored } = row.text!.request;
    // Of a prompt that is scored, every token is read.
    if (scored) return;
    const known = this.#rows.map((other) => cachedPrefixLength(other, prompt));
    const most = Math.max(...known);
    if (most <= row.tokens.length) return;
    this.#slots.copy(known.indexOf(most), at, most);
    this.#cachedTokens += most - row.tokens.length;
    row.tokens = [...prompt.subarray(0, most)];
    row.reusablePrefix = most;
  }

  #leave(row: number): void {
    this.#rows[row].text = undefined;
    if (row < this.#decoding) this.#swap(row, --this.#decoding);
    const active = this.#rows.flatMap(({ text, tokens }) => (text ? [this.#needs(text, tokens)] : []));
    // What is there may serve the next.
    if (active.length === 0) return;
    // Short texts would pay for the places of a long one that has gone.
    const capacity = capacityFor(Math.max(...active));
    if (capacity * 4 <= this.#slots.capacity) this.#resize(capacity);
  }

  /** Places that a text may come to need soon. */
  #needs = ({ request }: Text, tokens: readonly number[]) =>
    Math.max(request.prompt.length, tokens.length) + 1;

  #resize(capacity: number): void {
    this.#slots.resize(
      capacity,
      this.#rows.map(({ tokens }) => tokens.length),
    );
    for (const row of this.#rows) {
      row.tokens.length = Math.min(row.tokens.length, capacity);
      row.reusablePrefix = Math.min(
        row.reusablePrefix,
        row.tokens.length - (row.tokens.length % prefillChunk),
      );
    }
  }

  /** One run over rows from `first` on, of S tokens each, whose keys and values are kept. */
  async #run(
    program: Program,
    first: number,
    S: number,
    ids: Int32Array,
    from: readonly number[],
    next?: Int32Array,
  ): Promise<Record<string, Data>> {
    const needed = capacityFor(Math.max(...from) + S);
    if (needed > this.#slots.capacity) this.#resize(needed);
    const { capacity } = this.#slots;
    const rows = from.length;
    const positions = Int32Array.from(ids, (_, i) => from[Math.floor(i / S)] + (i % S));
    const { fresh, ...results } = await program.run(
      {
        ids,
        positions,
        at: Float32Array.from(positions),
        ends: Int32Array.from(from, (_, row) => (row + 1) * S - 1),
        ...(next && { next }),
        ...this.#slots.feeds(first, from, S),
      },
      { rows, length: S, capacity, keys: S + capacity },
    );
    this.#slots.store(fresh, first, from, S);
    free([fresh]);
    return results;
  }

  /** Reads the next chunk of the prompt that has waited longest. */
  async #read(): Promise<void> {
    const waiting = this.#rows.flatMap(({ text }, row) =>
      text && row >= this.#decoding ? [{ row, id: text.request.id }] : [],
    );
    if (waiting.length === 0) return;
    const [{ row: at }] = waiting.sort((a, b) => a.id - b.id);
    // One that came at the same time with the same beginning may have been read meanwhile.
    this.#share(at);
    const row = this.#rows[at];
    const text = row.text!;
    const { prompt, scored } = text.request;
    const from = row.tokens.length;
    const part = prompt.slice(from, from + prefillChunk);
    const program = scored ? await this.#programs.score() : this.#programs.prefill;
    const next = new Int32Array(part.length);
    next.set(prompt.subarray(from + 1, from + 1 + part.length));
    const { logits, ...said } = await this.#run(program, at, part.length, part, [from], next);
    row.tokens.push(...part);
    if (part.length === prefillChunk) row.reusablePrefix = row.tokens.length;
    if (scored) addScores(text, from, said as unknown as Scores);
    if (row.tokens.length === prompt.length) this.#begin(at, logits as Float32Array);
    free([logits, ...Object.values(said)]);
  }

  /** A prompt has been read: its text generates from now on, if any token was asked for. */
  #begin(at: number, logits: Float32Array): void {
    const { request, scores } = this.#rows[at].text!;
    const { id, maxTokens } = request;
    if (scores) this.#emit({ id, scores, ...(maxTokens === 0 && { finish: "length" }) });
    if (maxTokens === 0) {
      this.#leave(at);
      return;
    }
    this.#swap(at, this.#decoding++);
    this.#choose(this.#rows[this.#decoding - 1], logits);
  }

  /** Feeds each text its last token, and chooses the next. */
  async #decode(): Promise<void> {
    const count = this.#decoding;
    if (count === 0) return;
    const texts = this.#rows.slice(0, count);
    const ids = Int32Array.from(texts, ({ text }) => text!.next!);
    const from = texts.map(({ tokens }) => tokens.length);
    const results = await this.#run(this.#programs.decode, 0, 1, ids, from);
    const logits = results.logits as Float32Array;
    const vocabulary = logits.length / count;
    // All of them before the first choice: a text that leaves moves other rows, with all that they hold.
    for (const [i, { tokens }] of texts.entries()) tokens.push(ids[i]);
    for (const [i, row] of texts.entries())
      this.#choose(row, logits.subarray(i * vocabulary, (i + 1) * vocabulary));
    free([logits]);
  }

  /** Chooses a text's next token and tells of it; the text leaves if it is the last. */
  #choose(row: Row, logits: Float32Array): void {
    const text = row.text!;
    const { id, maxTokens, stopTokens, stopIds, logprobs } = text.request;
    const token = text.sampler.next(logits);
    text.next = token;
    text.generated++;
    this.#generatedTokens++;
    const ended = stopTokens.includes(token) || stopIds?.includes(token);
    const finish = ended ? "stop" : text.generated === maxTokens ? "length" : undefined;
    let told: Pick<TokenGenerated, "logprob" | "top"> = {};
    if (logprobs !== undefined) {
      const all = logSumExp(logits);
      const top = Array.from(mostLikely(logits, logprobs), (best) => [best, logits[best] - all] as const);
      told = { logprob: logits[token] - all, top };
    }
    this.#emit({ id, token, ...told, ...(finish && { finish }) });
    if (finish) this.#leave(this.#rows.indexOf(row));
  }
}

/** Most tokens of a text if all slots are to have room for as many in a cache of so many bytes. */
export function maxContext(cache: CacheShape, slots: number, bytes: number, context: number): number {
  return Math.min(context, capacityWithin(bytes / (slots * bytesPerPlace(cache))));
}
