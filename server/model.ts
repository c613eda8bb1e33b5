/** @file The model that is served: its tokenizer, its worker, and how many may ask at a time. */
import { basename } from "node:path";
import { type ChatTemplate, readChatTemplate } from "../src/chat/template.ts";
import { findTurnEnd } from "../src/chat/turn-end.ts";
import { EngineClient } from "../src/generate/model.ts";
import type { Sampling } from "../src/generate/sample.ts";
import type { ModelOptions } from "../src/generate/worker.ts";
import { Detokenizer } from "../src/text/detokenize.ts";
import { type GenerationConfig, readGenerationConfig } from "../src/text/generation-config.ts";
import { type Tokenizer, readTokenizer } from "../src/text/tokenizer.ts";
import { RequestError } from "./errors.ts";

export interface ServedOptions extends Omit<ModelOptions, "tokenizerSize"> {
  /** None: as its folder. */
  readonly name?: string | undefined;
  /** Texts that may wait for a slot. */
  readonly queue: number;
  /** Whether generation_config.json says how a request is sampled that does not say so itself (it does). */
  readonly generationConfig?: "auto" | "off" | undefined;
}

/** How texts are sampled where a request does not say so. */
export type SamplingDefaults = Pick<Sampling, "temperature" | "topP" | "topK" | "minP" | "repetitionPenalty">;

const plainSampling: SamplingDefaults = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 };

function samplingDefaults(config: GenerationConfig): SamplingDefaults {
  const { doSample, topK = plainSampling.topK, ...rest } = config;
  const { temperature, topP, minP, repetitionPenalty } = { ...plainSampling, ...rest };
  return {
    temperature: doSample === false ? 0 : temperature,
    topP,
    topK: Math.max(0, topK),
    minP,
    repetitionPenalty,
  };
}

const wholeCharacters = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Characters of a text that takes long to encode: some 10 ms. */
const longText = 2 ** 16;

/** What a model's folder says about its texts. */
interface Settings {
  readonly tokenizer: Tokenizer;
  readonly chat: ChatTemplate | undefined;
  readonly turnEnd: number | undefined;
  readonly generation: GenerationConfig;
}

async function readSettings(folder: string, mode: ServedOptions["generationConfig"]): Promise<Settings> {
  const tokenizer = readTokenizer(folder);
  const chat = await readChatTemplate(folder);
  const turnEnd = chat && (await findTurnEnd(chat, tokenizer));
  const generation = readGenerationConfig(folder);
  // What ends a text is no matter of taste.
  return {
    tokenizer,
    chat,
    turnEnd,
    generation: mode === "off" ? { endIds: generation.endIds } : generation,
  };
}

export class ServedModel {
  readonly name: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly tokenizer: Tokenizer;
  readonly detokenizer: Detokenizer;
  readonly chat: ChatTemplate | undefined;
  /** Ids that end any text, and an answer besides. */
  readonly ends: readonly number[];
  readonly answerEnds: readonly number[];
  readonly defaults: SamplingDefaults;
  readonly model: EngineClient;
  readonly #most: number;
  #taken = 0;
  readonly #tokenTexts = new Map<number, string>();
  /** Bytes of the longest token. */
  readonly #longestToken: number;
  /** The long texts that are being encoded. */
  #encoding: Promise<unknown> = Promise.resolve();

  private constructor(name: string, settings: Settings, model: EngineClient, most: number) {
    const { tokenizer, chat, turnEnd, generation } = settings;
    this.name = name;
    this.tokenizer = tokenizer;
    this.detokenizer = new Detokenizer(tokenizer);
    this.chat = chat;
    this.ends = [...new Set([tokenizer.eos, ...generation.endIds])];
    this.answerEnds = turnEnd === undefined ? [] : [turnEnd];
    this.defaults = samplingDefaults(generation);
    this.model = model;
    this.#most = most;
    const { bytes, tokens } = tokenizer.vocabulary;
    this.#longestToken = tokens.reduce(
      (most, token, id) => Math.max(most, Buffer.byteLength(token), bytes[id].length),
      1,
    );
  }

  static async load(options: ServedOptions, onLoading?: (share: number) => void): Promise<ServedModel> {
    const { folder, slots, queue } = options;
    const settings = await readSettings(folder, options.generationConfig);
    const tokenizerSize = settings.tokenizer.vocabulary.tokens.length;
    const model = await EngineClient.load({ ...options, tokenizerSize }, onLoading);
    return new ServedModel(options.name ?? basename(folder), settings, model, slots + queue);
  }

  /** Texts that are generated or wait. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes places for texts until what is given back is called.
   * @param field that asked for so many
   * @throws RequestError 429, if there are not so many now, and 400, if there never are.
   */
  reserve(texts: number, field: string): () => void {
    if (texts > this.#most)
      throw new RequestError(
        400,
        `${field}: ${texts} texts in one request; this server holds at most ${this.#most}`,
        field,
      );
    if (this.#taken + texts > this.#most)
      throw new RequestError(429, "the server is full; try again later", null, "server_full");
    this.#taken += texts;
    let back = false;
    return () => {
      if (!back) this.#taken -= texts;
      back = true;
    };
  }

  /** Ids of a text. Long ones are encoded one after the other: there is always a thread for the short ones. */
  encode(text: string, special = true): Promise<Int32Array> {
    if (text.length < longText) return this.tokenizer.prompt(text, special);
    const ids = this.#encoding.then(() => this.tokenizer.prompt(text, special));
    this.#encoding = ids.catch(() => {});
    return ids;
  }

  /** Ids of a text that is to be continued. @throws RequestError 400 at once, if it is far too long. */
  encodePrompt(text: string, field: string, special = true): Promise<Int32Array> {
    const { context } = this.model;
    if (text.length >= longText && Buffer.byteLength(text) > context * this.#longestToken)
      throw new RequestError(
        400,
        `${field}: ${text.length} characters are more than ${context} tokens, which is this model's context`,
        field,
        "context_length_exceeded",
      );
    return this.encode(text, special);
  }

  /** A token's own text, as OpenAI writes it where its bytes are no whole characters. */
  tokenText(id: number): string {
    let text = this.#tokenTexts.get(id);
    if (text === undefined) this.#tokenTexts.set(id, (text = this.#textOf(id)));
    return text;
  }

  #textOf(id: number): string {
    const { bytes, tokens } = this.tokenizer.vocabulary;
    const own = bytes[id];
    if (!own?.length) return tokens[id] ?? "";
    try {
      return wholeCharacters.decode(own);
    } catch {
      return `bytes:${Array.from(own, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
    }
  }

  close(): Promise<void> {
    return this.model.close();
  }
}
