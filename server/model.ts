/** @file The model that is served: its tokenizer, its worker, and how many may ask at a time. */
import { basename } from "node:path";
import { type ChatTemplate, readChatTemplate } from "../src/chat/template.ts";
import { GenerationModel } from "../src/generate/model.ts";
import type { ModelOptions } from "../src/generate/worker.ts";
import { type Tokenizer, readTokenizer } from "../src/text/tokenizer.ts";
import { RequestError } from "./errors.ts";

export interface ServedOptions extends Omit<ModelOptions, "known"> {
  /** None: as its folder. */
  readonly name?: string | undefined;
  /** Texts that may wait for a slot. */
  readonly queue: number;
}

export class ServedModel {
  readonly name: string;
  readonly created = Math.floor(Date.now() / 1000);
  readonly tokenizer: Tokenizer;
  readonly chat: ChatTemplate | undefined;
  readonly model: GenerationModel;
  readonly #most: number;
  #taken = 0;

  private constructor(
    name: string,
    tokenizer: Tokenizer,
    chat: ChatTemplate | undefined,
    model: GenerationModel,
    most: number,
  ) {
    this.name = name;
    this.tokenizer = tokenizer;
    this.chat = chat;
    this.model = model;
    this.#most = most;
  }

  static async load(options: ServedOptions, onLoading?: (share: number) => void): Promise<ServedModel> {
    const { folder, slots, queue } = options;
    const tokenizer = readTokenizer(folder);
    const known = tokenizer.vocabulary.tokens.length;
    const chat = await readChatTemplate(folder);
    const model = await GenerationModel.load({ ...options, known }, onLoading);
    return new ServedModel(options.name ?? basename(folder), tokenizer, chat, model, slots + queue);
  }

  /** Texts that are generated or wait. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes places for texts until what is given back is called.
   * @throws RequestError 429, if there are not so many.
   */
  reserve(texts: number): () => void {
    if (texts > this.#most)
      throw new RequestError(400, `n: ${texts} texts in one request; at most ${this.#most}`, "n");
    if (this.#taken + texts > this.#most)
      throw new RequestError(429, "the server is full; try again later", null, "server_full");
    this.#taken += texts;
    let back = false;
    return () => {
      if (!back) this.#taken -= texts;
      back = true;
    };
  }

  /** A token's own text, as OpenAI writes it where its bytes are no whole characters. */
  tokenText(id: number): string {
    const { bytes, tokens } = this.tokenizer.vocabulary;
    const own = bytes[id];
    if (!own?.length) return tokens[id] ?? "";
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(own);
    } catch {
      return `bytes:${Array.from(own, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
    }
  }

  close(): Promise<void> {
    return this.model.close();
  }
}
