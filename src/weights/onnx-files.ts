/** @file The dtypes of transformers.js: the ONNX file of each, and those that plain weights serve too. */

const suffixes = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
} as const;

export type OnnxDtype = keyof typeof suffixes;
export const onnxDtypes = Object.keys(suffixes) as [OnnxDtype, ...OnnxDtype[]];

/** Relative to the model folder; external weights add "_data" to the name. */
export const onnxFile = (dtype: OnnxDtype) => `onnx/model${suffixes[dtype]}.onnx`;

/** Dtypes that need no ONNX file: weights are used as they are, or quantized to 8 bits while loading. */
export const weightsDtypes: readonly OnnxDtype[] = ["fp32", "q8"];

/** Whether a folder's weights can be run in a dtype; the default is theirs. */
export const canRunWeights = (dtype: OnnxDtype | undefined): boolean =>
  dtype === undefined || weightsDtypes.includes(dtype);
