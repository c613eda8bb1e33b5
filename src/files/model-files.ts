/** @file Names of the files in a Hugging Face model folder, other than weights. */

/** Files that hold a whole tokenizer; where several exist, tokenizer.json counts, then tokenizer.model. */
export const tokenizerFiles = {
  json: "tokenizer.json",
  sentencePiece: "tokenizer.model",
  vocabulary: "vocab.json",
  merges: "merges.txt",
} as const;

/** Settings and tokens that complete a tokenizer. */
const tokenizerSettings = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/** Files that accompany config.json and the weights: how to tokenize, prompt and generate. */
export const companions: readonly string[] = [
  "generation_config.json",
  ...Object.values(tokenizerFiles),
  ...tokenizerSettings,
  "chat_template.jinja",
  "chat_template.json",
];

const decisive = ["config.json", ...Object.values(tokenizerFiles), ...tokenizerSettings];

/** Whether a file of a model folder affects how the model tokenizes or scores text. */
export function affectsScores(name: string): boolean {
  return decisive.includes(name) || /\.(safetensors|bin|onnx|onnx_data.*)$/.test(name);
}
