/** @file Which files of a repository a model needs. */
import { companions } from "../files/model-files.ts";
import { type OnnxDtype, onnxFile, canRunWeights } from "../weights/onnx-files.ts";

/** A file in a repository's listing. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** SHA-256 for large files, git's SHA-1 for others. */
  readonly hash: { readonly kind: "sha256" | "git"; readonly value: string };
}

/** Forms of weights in order of preference: one file or shards, with their index. */
const weights = [
  /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/,
  /^pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?$/,
];

/**
 * The files to download: configuration, tokenizer, and weights in the first available form. The ONNX file of
 * the dtype is only taken if there are no other weights, or if they do not serve that dtype.
 */
export function neededFiles<F extends Pick<RemoteFile, "path">>(files: readonly F[], dtype?: OnnxDtype): F[] {
  const forms = weights.map((pattern) => files.filter(({ path }) => pattern.test(path)));
  const plain = forms.find((found) => found.length > 0) ?? [];
  const model = onnxFile(dtype ?? "fp32");
  const onnx = files.filter(({ path }) => path === model || path.startsWith(`${model}_data`));
  const settings = files.filter(({ path }) => path === "config.json" || companions.includes(path));
  return [...settings, ...(canRunWeights(dtype) && plain.length > 0 ? plain : onnx)];
}
