/** @file Which files of a repository a model needs. */

/** A file of a repository, as its listing has it. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** What its content hashes to: sha256 of a large file, git's sha1 of another. */
  readonly hash: { readonly kind: "sha256" | "git"; readonly value: string };
}

const beside =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^(tokenizer\.model|merges\.txt|chat_template\.jinja)$/;

/** Files of weights, the first kind that is there: one file or its parts, with their index. */
const weights = [
  /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/,
  /^pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?$/,
];

/** ONNX files by the dtypes of transformers.js. */
export const onnxSuffixes = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
} as const;
export type OnnxDtype = keyof typeof onnxSuffixes;

/**
 * The files to be downloaded: configuration, tokenizer, and weights in the first form that is there; an
 * ONNX file only where there are no other weights, or where its dtype is asked for that they do not have.
 */
export function neededFiles<F extends Pick<RemoteFile, "path">>(files: readonly F[], dtype?: OnnxDtype): F[] {
  const kinds = weights.map((pattern) => files.filter(({ path }) => pattern.test(path)));
  const onnx = files.filter(({ path }) =>
    new RegExp(`^onnx/model${onnxSuffixes[dtype ?? "fp32"]}\\.onnx(_data(_\\d+)?)?$`).test(path),
  );
  const plain = kinds.find((found) => found.length > 0) ?? [];
  const exact = dtype === undefined || dtype === "fp32" || dtype === "q8";
  return [...files.filter(({ path }) => beside.test(path)), ...(exact && plain.length ? plain : onnx)];
}
