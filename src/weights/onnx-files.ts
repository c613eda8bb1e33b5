/** @file Names of ONNX files in a model's folder, by the dtypes of transformers.js. */

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

/** Within the model's folder; weights beside it have "_data" behind the name. */
export const onnxFile = (dtype: OnnxDtype) => `onnx/model${suffixes[dtype]}.onnx`;
