/** @file The model that is served: its engine, its tokenizer, and what its folder says about texts. */
import { basename } from "node:path";
import { type ChatTemplate, readChatTemplate } from "../src/chat/template.ts";
import { findTurnEnd } from "../src/chat/turn-end.ts";
import { EngineClient } from "../src/generate/client.ts";
import type { ModelOptions } from "../src/generate/worker.ts";
import { Detokenizer } from "../src/text/detokenize.ts";
import { type GenerationConfig, readGenerationConfig } from "../src/text/generation-config.ts";
import { type Tokenizer, readTokenizer } from "../src/text/tokenizer.ts";
import { Capacity } from "./capacity.ts";
import { PromptEncoder } from "./prompt-encoder.ts";
import { type SamplingDefaults, readSamplingDefaults } from "./sampling.ts";
import { TokenTexts } from "./token-texts.ts";

/** What the server needs of an engine: token ids in, token ids out. Tests have one without a model. */
export type Engine = Pick<EngineClient, "context" | "device" | "statistics" | "generate" | "close">;

/** What a model's folder says about its texts. */
export interface ModelSettings {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly chat: ChatTemplate | undefined;
  /** The token that ends an answer. */
  readonly turnEnd: number | undefined;
  readonly generation: GenerationConfig;
}

export interface ModelServiceOptions extends Omit<ModelOptions, "tokenizerSize"> {
  /** The folder's name by default. */
  readonly name?: string | undefined;
  /** Texts that may wait for a slot. */
  readonly queue: number;
  /** Whether generation_config.json gives the sampling defaults; "auto" by default. */
  readonly generationConfig?: "auto" | "off" | undefined;
}

export async function readModelSettings(
  folder: string,
  {
    name = basename(folder),
    generationConfig = "auto",
  }: Pick<ModelServiceOptions, "name" | "generationConfig"> = {},
): Promise<ModelSettings> {
  const tokenizer = readTokenizer(folder);
  const chat = await readChatTemplate(folder);
  const turnEnd = chat && (await findTurnEnd(chat, tokenizer));
  const generation = readGenerationConfig(folder);
  return {
    name,
    tokenizer,
    chat,
    turnEnd,
    // Which tokens end a text is not a matter of sampling: they count in any case.
    generation: generationConfig === "off" ? { endIds: generation.endIds } : generation,
  };
}

export class ModelService {
  readonly name: string;
  /** Seconds since 1970. */
  readonly created = Math.floor(Date.now() / 1000);
  readonly engine: Engine;
  readonly capacity: Capacity;
  readonly tokenizer: Tokenizer;
  readonly detokenizer: Detokenizer;
  readonly encoder: PromptEncoder;
  readonly tokenTexts: TokenTexts;
  readonly chat: ChatTemplate | undefined;
  /** Ids that end any text. */
  readonly stopTokens: readonly number[];
  /** Ids that end an answer, too. */
  readonly answerStopTokens: readonly number[];
  readonly samplingDefaults: SamplingDefaults;

  /** @param maxTexts that are generated or wait at a time */
  constructor(settings: ModelSettings, engine: Engine, maxTexts: number) {
    const { name, tokenizer, chat, turnEnd, generation } = settings;
    this.name = name;
    this.engine = engine;
    this.capacity = new Capacity(maxTexts);
    this.tokenizer = tokenizer;
    this.detokenizer = new Detokenizer(tokenizer);
    this.encoder = new PromptEncoder(tokenizer, engine.context);
    this.tokenTexts = new TokenTexts(tokenizer.vocabulary);
    this.chat = chat;
    this.stopTokens = [...new Set([tokenizer.eos, ...generation.endIds])];
    this.answerStopTokens = turnEnd === undefined ? [] : [turnEnd];
    this.samplingDefaults = readSamplingDefaults(generation);
  }

  /** Reads a folder and loads its model in a worker. @throws if a file is missing or unsupported, naming it. */
  static async load(options: ModelServiceOptions): Promise<ModelService> {
    const { folder, slots, queue } = options;
    const settings = await readModelSettings(folder, options);
    const tokenizerSize = settings.tokenizer.vocabulary.tokens.length;
    const engine = await EngineClient.load({ ...options, tokenizerSize });
    return new ModelService(settings, engine, slots + queue);
  }

  get vocabularySize(): number {
    return this.tokenizer.vocabulary.tokens.length;
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}
