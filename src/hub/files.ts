/** @file Which files of a repository a model needs. */

import { type OnnxDtype, onnxFile } from "../weights/onnx-files.ts";

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

/**
 * The files to be downloaded: configuration, tokenizer, and weights in the first form that is there; an
 * ONNX file only where there are no other weights, or where its dtype is asked for that they do not have.
 */
export function neededFiles<F extends Pick<RemoteFile, "path">>(files: readonly F[], dtype?: OnnxDtype): F[] {
  const kinds = weights.map((pattern) => files.filter(({ path }) => pattern.test(path)));
  const model = onnxFile(dtype ?? "fp32");
  const onnx = files.filter(({ path }) => path === model || path.startsWith(`${model}_data`));
  const plain = kinds.find((found) => found.length > 0) ?? [];
  const exact = dtype === undefined || dtype === "fp32" || dtype === "q8";
  return [...files.filter(({ path }) => beside.test(path)), ...(exact && plain.length ? plain : onnx)];
}
