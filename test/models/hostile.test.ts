/** Damaged and malicious folders: each is an error naming the file, never a crash or a hang. */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { readDecoder } from "../../src/models/folder.ts";
import { readTorchFile } from "../../src/weights/torch-file.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { describeModel } from "../../src/score/describe.ts";
import { openScorer } from "../../src/score/open.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { copyFolder, createFolder } from "../folder.ts";
import {
  concat,
  dict,
  global,
  int,
  op,
  pickle,
  rebuilt,
  storage,
  str,
  torchFile,
  tuple,
  createZip,
} from "../zip.ts";

const torch = join(import.meta.dir, "../fixtures/torch");
const ascii = (text: string) => new TextEncoder().encode(text);

/** The error message of `work`. */
async function errorMessage(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return (error as Error).message;
  }
  return "no error";
}

type Header = Record<
  string,
  { dtype: string; shape: unknown; data_offsets: unknown; [key: string]: unknown }
>;

/** A safetensors file with its header changed. */
function withHeader(path: string, change: (header: Header) => unknown): void {
  const bytes = new Uint8Array(readFileSync(path));
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const text = change(header) ?? header;
  const json = ascii(typeof text === "string" ? text : JSON.stringify(text));
  writeFileSync(
    path,
    concat([new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer), json, bytes.subarray(8 + length)]),
  );
}

const norm = "model.norm.weight";
const headerCases: Record<string, [(header: Header) => unknown, RegExp]> = {
  "no JSON": [() => "{", /header is not JSON/],
  null: [() => "null", /header is not an object of tensors/],
  "an array": [() => "[]", /tensor .*is missing/],
  "nested a hundred thousand deep": [() => "[".repeat(1e5), /header is not a table of tensors: nested/],
  "a missing tensor": [(h) => void delete h[norm], /tensor model\.norm\.weight is missing/],
  "a tensor that is not part of the model": [
    (h) => void (h["model.extra.weight"] = { dtype: "F32", shape: [0], data_offsets: [0, 0] }),
    /tensor model\.extra\.weight is not part of the model/,
  ],
  "another shape": [
    (h) => void (h[norm].shape = [4, 4]),
    /tensor model\.norm\.weight has shape \[4,4\], expected \[16\] from config\.json/,
  ],
  "a shape that its bytes do not fill": [
    (h) => void (h[norm].shape = [17]),
    /tensor model\.norm\.weight \[17\] needs 68 bytes, got 64/,
  ],
  "a negative length": [(h) => void (h[norm].shape = [-16]), /tensor model\.norm\.weight\.shape/],
  "half a length": [(h) => void (h[norm].shape = [15.5]), /tensor model\.norm\.weight\.shape/],
  "a shape whose size overflows": [
    (h) => void (h[norm].shape = [9e15, 9e15]),
    /tensor model\.norm\.weight .* needs/,
  ],
  "no shape": [(h) => void delete h[norm].shape, /tensor model\.norm\.weight\.shape/],
  "a shape that is a string": [(h) => void (h[norm].shape = "16"), /tensor model\.norm\.weight\.shape/],
  "an undefined dtype": [
    (h) => void (h[norm].dtype = "F33"),
    /tensor model\.norm\.weight has dtype F33, which safetensors does not define/,
  ],
  "a dtype from Object's prototype": [
    (h) => void (h[norm].dtype = "constructor"),
    /tensor model\.norm\.weight has dtype constructor/,
  ],
  integers: [
    (h) => void (h[norm].dtype = "I32"),
    /tensor model\.norm\.weight has dtype I32, expected F32, F16, BF16/,
  ],
  "offsets beyond the file": [
    (h) => void (h[norm].data_offsets = [1e12, 1e12 + 64]),
    /tensor model\.norm\.weight ends at byte \d+ of \d+: truncated file/,
  ],
  "negative offsets": [
    (h) => void (h[norm].data_offsets = [-64, 0]),
    /tensor model\.norm\.weight\.data_offsets/,
  ],
  "offsets the wrong way round": [
    (h) => void (h[norm].data_offsets = [64, 0]),
    /tensor model\.norm\.weight \[16\] needs 64 bytes, got -64/,
  ],
  "half an offset": [
    (h) => void (h[norm].data_offsets = [0.5, 64.5]),
    /tensor model\.norm\.weight\.data_offsets/,
  ],
  "offsets that are strings": [
    (h) => void (h[norm].data_offsets = ["0", "64"]),
    /tensor model\.norm\.weight\.data_offsets/,
  ],
  "three offsets": [
    (h) => void (h[norm].data_offsets = [0, 64, 64]),
    /tensor model\.norm\.weight\.data_offsets/,
  ],
  "no offsets": [(h) => void delete h[norm].data_offsets, /tensor model\.norm\.weight\.data_offsets/],
  "an unknown field": [(h) => void (h[norm].strides = [1]), /tensor model\.norm\.weight/],
  "tensors that overlap": [(h) => void (h[norm].data_offsets = [0, 64]), /tensors .+ and .+ overlap/],
};

describe("a safetensors header of tens of megabytes is rejected before it takes gigabytes:", () => {
  const repeated = (text: string, bytes: number) => text.repeat(bytes / text.length);
  const cases: Record<string, [string, RegExp]> = {
    "nested arrays": [
      `{"a":${repeated("[[[[]]]],", 67e6)}0}`,
      /header is not a table of tensors: nested more than 3 levels deep/,
    ],
    "empty arrays": [`{"a":[${repeated("[],", 67e6)}0]}`, /header has more than 2000000 values/],
    "short names": [`{${repeated('"a":"",', 67e6)}"b":""}`, /header has more than 2000000 values/],
    "one long name": [
      `{"${repeated("[", 67e6)}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`,
      /tensor name of 67000000 characters \(\[+…\), expected at most 1000/,
    ],
  };
  for (const [what, [header, message]] of Object.entries(cases))
    test(what, async () => {
      using copy = copyFolder(join(torch, "safetensors"));
      const path = join(copy.path, "model.safetensors");
      withHeader(path, () => header);
      const problem = await errorMessage(() => readWeights(copy.path, readDecoder(copy.path)));
      expect(problem).toStartWith(path);
      expect(problem).toMatch(message);
      expect(problem.length).toBeLessThan(path.length + 200);
    });
});

describe("a safetensors file with", () => {
  for (const [what, [change, message]] of Object.entries(headerCases))
    test(`a header: ${what}`, async () => {
      using copy = copyFolder(join(torch, "safetensors"));
      const path = join(copy.path, "model.safetensors");
      withHeader(path, change);
      const problem = await errorMessage(() => readWeights(copy.path, readDecoder(copy.path)));
      expect(problem).toStartWith(path);
      expect(problem).toMatch(message);
    });

  const lengths: Record<string, [(path: string) => void, RegExp]> = {
    "no byte": [(path) => truncateSync(path, 0), /expected a safetensors file, got 0 bytes/],
    "seven bytes": [(path) => truncateSync(path, 7), /got 7 bytes/],
    "half a header": [(path) => truncateSync(path, 200), /header claims \d+ bytes, the file has 200/],
    "its last byte missing": [
      (path) => truncateSync(path, readFileSync(path).length - 1),
      /tensor .* truncated file/,
    ],
    "a header of 2^63 bytes": [
      (path) => {
        const bytes = new Uint8Array(readFileSync(path));
        bytes.set([0, 0, 0, 0, 0, 0, 0, 128]);
        writeFileSync(path, bytes);
      },
      /header claims 9223372036854775000 bytes|header claims 9223372036854776000 bytes/,
    ],
    "a folder in its place": [
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      /expected a file, got a folder or a device/,
    ],
    "a device in its place": [
      (path) => {
        rmSync(path);
        symlinkSync("/dev/zero", path);
      },
      /expected a file, got a folder or a device/,
    ],
    "a link to itself in its place": [
      (path) => {
        rmSync(path);
        symlinkSync(path, path);
      },
      /not found; expected model weights/,
    ],
  };
  for (const [what, [damage, message]] of Object.entries(lengths))
    test(what, async () => {
      using copy = copyFolder(join(torch, "safetensors"));
      const path = join(copy.path, "model.safetensors");
      damage(path);
      const problem = await errorMessage(() => readWeights(copy.path, readDecoder(copy.path)));
      expect(problem).toStartWith(path);
      expect(problem).toMatch(message);
    });
});

describe("an index of shards with", () => {
  const index = "pytorch_model.bin.index.json";
  const second = "pytorch_model-00002-of-00002.bin";
  const change = (map: (names: Record<string, string>) => unknown) => (path: string) => {
    const json = JSON.parse(readFileSync(join(path, index), "utf8"));
    writeFileSync(join(path, index), JSON.stringify(map(json.weight_map) ?? json));
  };
  const cases: Record<string, [(path: string) => void, RegExp]> = {
    "a missing shard": [(path) => rmSync(join(path, second)), /00002\.bin: not found, but .* lists .+ in it/],
    "a shard that links to itself": [
      (path) => {
        rmSync(join(path, second));
        symlinkSync(join(path, second), join(path, second));
      },
      /00002\.bin: not found/,
    ],
    "a shard outside the folder": [
      change((names) => void (names[norm] = "../../secret.bin")),
      /tensor model\.norm\.weight is listed in "\.\.\/\.\.\/secret\.bin", outside/,
    ],
    "a shard at an absolute path": [
      change((names) => void (names[norm] = "/etc/passwd")),
      /outside the folder/,
    ],
    "a tensor in another shard": [
      change((names) => void (names[norm] = "pytorch_model-00001-of-00002.bin")),
      /00001-of-00002\.bin: tensor model\.norm\.weight is missing/,
    ],
    "a tensor left out": [
      change((names) => void delete names[norm]),
      /tensor model\.norm\.weight is missing/,
    ],
    "no map": [change(() => ({})), /expected a weight_map/],
    "numbers for files": [
      change((names) => ({ weight_map: { ...names, [norm]: 1 } })),
      /expected a weight_map/,
    ],
    "no JSON": [(path) => writeFileSync(join(path, index), "{"), /index\.json: not JSON/],
    "ten million bytes": [
      (path) => writeFileSync(join(path, index), " ".repeat(1e7)),
      /index\.json: 10000000 bytes; expected at most/,
    ],
  };
  for (const [what, [damage, message]] of Object.entries(cases))
    test(what, async () => {
      using copy = copyFolder(join(torch, "bin-shards"));
      damage(copy.path);
      const problem = await errorMessage(() => readWeights(copy.path, readDecoder(copy.path)));
      expect(problem).toStartWith(copy.path);
      expect(problem).toMatch(message);
    });
});

describe("a torch.save file that", () => {
  const file = (...parts: Uint8Array[]) => torchFile(pickle(...parts));
  const entry = (value: Uint8Array) => file(dict(str("x"), value));
  const cases: Record<string, [Uint8Array | { fixture: string }, RegExp]> = {
    "calls os.system": [{ fixture: "hostile.bin" }, /pickle rejected: global posix\.system is not allowed/],
    "calls eval": [
      entry(concat([global("builtins", "eval"), tuple(str("1")), op("R")])),
      /global builtins\.eval is not allowed/,
    ],
    "names a global on the stack": [
      entry(concat([op("\x8c\x02os\x8c\x06system\x93")])),
      /global os\.system is not allowed/,
    ],
    "uses a method of Object": [entry(global("", "constructor")), /global \.constructor is not allowed/],
    "calls a storage": [
      entry(concat([global("torch", "FloatStorage"), tuple(), op("R")])),
      /call of torch\.FloatStorage is not allowed/,
    ],
    "calls a value": [entry(concat([str("x"), tuple(), op("R")])), /call of a value is not allowed/],
    "makes an object by INST": [entry(op("(iposix\nsystem\n")), /opcode 0x69 is not allowed/],
    "makes an object by NEWOBJ": [
      entry(concat([global("torch", "FloatStorage"), op(")\x81")])),
      /opcode 0x81 is not allowed/,
    ],
    "imports by an extension code": [entry(op("\x82\x01")), /opcode 0x82 is not allowed/],
    "refers to something other than a storage": [
      entry(concat([str("x"), op("Q")])),
      /persistent id is not a numeric storage/,
    ],
    "has a storage of objects": [
      entry(storage("0", "UntypedStorage")),
      /global torch\.UntypedStorage is not allowed/,
    ],
    "makes a tensor of a string": [entry(rebuilt(str("x"))), /invalid arguments for a tensor/],
    "has a negative offset": [entry(rebuilt(storage(), -4)), /invalid arguments for a tensor/],
    "has a negative length": [entry(rebuilt(storage(), 0, [-4])), /invalid arguments for a tensor/],
    "has a tensor beyond its storage": [
      entry(rebuilt(storage(), 2)),
      /tensor x \[4\] exceeds the 16 bytes of data\/0/,
    ],
    "has a huge tensor": [
      entry(rebuilt(storage(), 0, [2 ** 30, 2 ** 30], [2 ** 30, 1])),
      /tensor x .* exceeds the/,
    ],
    "has a strided tensor": [
      { fixture: "strided.bin" },
      /tensor x \[4,3\] is a strided view; save a contiguous copy/,
    ],
    "has a tensor without its storage": [entry(rebuilt(storage("7"))), /tensor x: data\/7 is missing/],
    "has a storage with a path for a name": [
      entry(rebuilt(storage("../../x"))),
      /tensor x: data\/\.\.\/\.\.\/x is missing/,
    ],
    "has a number for a name": [file(dict(int(1), rebuilt(storage()))), /1 is not a tensor/],
    "has a string for a tensor": [entry(str("y")), /x is not a tensor/],
    "holds no dict": [file(int(1)), /expected a dict of tensors/],
    "underflows the stack": [file(op("0000")), /stack underflow/],
    "reads an unset memo entry": [file(op("h\x07")), /memo entry 7 is not set/],
    "appends to a number": [file(concat([int(1), int(2), op("a")])), /append to a value that is not a list/],
    "holds itself": [file(concat([op("}q\x00"), str("x"), op("h\x00s")])), /x is not a tensor/],
    "ends in the middle": [torchFile(op("\x80\x02X\xff\xff\xff\x7fabc")), /pickle rejected: unexpected end/],
    "never ends": [torchFile(op("\x80\x02}")), /unexpected end/],
    "is big-endian": [
      torchFile(pickle(op("}")), { "archive/byteorder": ascii("big") }),
      /tensors are big-endian/,
    ],
    "uses a global named by 30 tuples, each twice the one before": [
      file(concat([op(")"), ...Array(30).fill(op("q\x00h\x00\x86")), str("x"), op("\x93")])),
      /global a value\.x is not allowed/,
    ],
    "has 30 such tuples for a name": [
      file(dict(concat([op(")"), ...Array(30).fill(op("q\x00h\x00\x86"))]), rebuilt(storage()))),
      /a value is not a tensor/,
    ],
    "makes three million values": [file(op("]".repeat(3_000_000))), /more than 2000000 opcodes/],
    "has a text of a megabyte": [
      file(dict(str("x".repeat(1e6)), rebuilt(storage()))),
      /string of 1000000 bytes, expected at most 65536/,
    ],
    "calls with a hundred thousand arguments": [
      file(concat([global("collections", "OrderedDict"), tuple(op("N".repeat(1e5))), op("R")])),
      /call of collections\.OrderedDict is not allowed/,
    ],
    "has no pickle": [createZip({ "archive/other": ascii("x") }), /data\.pkl is missing/],
    "is compressed": [
      createZip({ "archive/data.pkl": pickle(op("}")) }, { method: 8 }),
      /archive\/data\.pkl is compressed/,
    ],
    "is from before PyTorch 1.6": [
      { fixture: "legacy.bin" },
      /files from before PyTorch 1\.6 must be saved again/,
    ],
    "is no zip": [ascii("PK nothing"), /cannot be read as a torch\.save file/],
    "is empty": [new Uint8Array(0), /cannot be read as a torch\.save file/],
    "is cut": [torchFile(pickle(op("}"))).subarray(0, 120), /cannot be read as a torch\.save file/],
  };
  for (const [what, [content, message]] of Object.entries(cases))
    test(what, async () => {
      using folder = createFolder({
        "pytorch_model.bin": content instanceof Uint8Array ? content : { from: join(torch, content.fixture) },
      });
      const path = join(folder.path, "pytorch_model.bin");
      const problem = await errorMessage(() => readTorchFile(path));
      expect(problem).toStartWith(path);
      expect(problem).toMatch(message);
    });

  test("none of them was executed", () => expect(existsSync("/tmp/called-by-a-pickle")).toBe(false));
});

describe("a config.json with", () => {
  const cases: Record<string, [Record<string, unknown> | string, RegExp]> = {
    "ten million bytes": [" ".repeat(1e7), /10000000 bytes; expected at most 8000000/],
    "no JSON": ["{", /not JSON/],
    "an array": ["[]", /expected an object of settings/],
    null: ["null", /expected an object of settings/],
    "an unknown architecture": [
      { model_type: "bert" },
      /model_type "bert" is not supported; expected one of gemma2, gpt2/,
    ],
    "an architecture from Object's prototype": [
      { model_type: "constructor" },
      /model_type "constructor" is not supported/,
    ],
    "a string for a width": [{ hidden_size: "16" }, /hidden_size is not supported/],
    "a negative number of layers": [{ num_hidden_layers: -1 }, /num_hidden_layers is not supported/],
    "a billion layers": [{ num_hidden_layers: 1e9 }, /num_hidden_layers is not supported/],
    "a vocabulary of 10^15": [{ vocab_size: 1e15 }, /vocab_size is not supported/],
    "heads that do not divide the width": [
      { num_attention_heads: 5 },
      /hidden_size: expected a multiple of num_attention_heads \(5\), got 16/,
    ],
    "groups that do not divide the heads": [
      { num_key_value_heads: 3 },
      /num_attention_heads: expected a multiple of num_key_value_heads \(3\), got 4/,
    ],
    "heads that cannot be halved": [
      { head_dim: 5 },
      /head_dim: expected an even number of rotary dimensions, got 5/,
    ],
    "a field that changes the computation elsewhere": [
      { residual_multiplier: 0.2 },
      /residual_multiplier is not supported: it is unknown/,
    ],
    "quantized weights": [{ quantization_config: { bits: 4 } }, /quantization_config is not supported/],
    "weights in FP8": [
      { quantization_config: { quant_method: "fp8" } },
      /weights are quantized \(fp8\); expected a folder with weights in F32, F16 or BF16 or, as a source, one with onnx\/model\.onnx/,
    ],
    "a language model within a multimodal one": [
      { model_type: "gemma3", text_config: { model_type: "gemma3_text" } },
      /model_type "gemma3" is not supported; it wraps a language model \(text_config "gemma3_text"\): save that as a folder of its own; expected one of .*; as a source, a folder with onnx\/model\.onnx may have/,
    ],
    "another activation": [{ hidden_act: "relu2" }, /hidden_act is not supported/],
    "an unknown way to stretch positions": [
      { rope_scaling: { rope_type: "longrope" } },
      /rope_scaling\.rope_type is not supported/,
    ],
    "a stretch without its factor": [
      { rope_scaling: { rope_type: "linear" } },
      /rope_scaling\.factor is not supported/,
    ],
  };
  for (const [what, [change, message]] of Object.entries(cases))
    test(what, async () => {
      using copy = copyFolder(join(torch, "safetensors"));
      const path = join(copy.path, "config.json");
      const given = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, typeof change === "string" ? change : JSON.stringify({ ...given, ...change }));
      const problem = await errorMessage(() => describeModel(copy.path));
      expect(problem).toStartWith(path);
      expect(problem).toMatch(message);
    });
});

describe("a tokenizer with", () => {
  const settings = JSON.stringify({ eos_token: "</s>" });
  const model = { from: join(demoModel("pocket-llama"), "tokenizer.model") };
  const whole = { from: join(demoModel("pocket-llama"), "tokenizer.json") };
  const bytes = readFileSync(model.from);
  const cases: Record<string, [Parameters<typeof createFolder>[0], string, RegExp]> = {
    "no file": [{}, "tokenizer.json", /not found; expected the model's tokenizer/],
    "a tokenizer.json that is no JSON": [{ "tokenizer.json": "{" }, "tokenizer.json", /not JSON/],
    "a tokenizer.json that is none": [
      { "tokenizer.json": "{}" },
      "tokenizer.json",
      /model\.vocab: expected an id for each token/,
    ],
    "a tokenizer.json that is a number": [
      { "tokenizer.json": "7" },
      "tokenizer.json",
      /model\.vocab: expected an id for each token/,
    ],
    "a tokenizer.model that is cut": [
      { "tokenizer.model": bytes.subarray(0, 5003) },
      "tokenizer.model",
      /cannot be read as a SentencePiece model/,
    ],
    "a tokenizer.model of no bytes": [
      { "tokenizer.model": "" },
      "tokenizer.model",
      /it has no unknown piece/,
    ],
    "a tokenizer.model that is text": [
      { "tokenizer.model": "hello, I am a text\n" },
      "tokenizer.model",
      /cannot be read as a SentencePiece model/,
    ],
    "a piece longer than the file": [
      { "tokenizer.model": Uint8Array.of(10, 255, 255, 255, 255, 7, 10) },
      "tokenizer.model",
      /unexpected end of file/,
    ],
    "a model of words": [
      // One unknown piece; trainer_spec.model_type = 3.
      { "tokenizer.model": Uint8Array.of(10, 7, 10, 3, 60, 117, 62, 24, 2, 18, 2, 24, 3) },
      "tokenizer.model",
      /model type 3 is not supported; expected BPE or Unigram/,
    ],
    "a vocab.json that is a list": [
      { "vocab.json": "[]", "merges.txt": "" },
      "vocab.json",
      /expected an id for each token/,
    ],
    "a merge of three": [
      { "vocab.json": '{"a":0}', "merges.txt": "#version: 0.2\na b c\n" },
      "merges.txt",
      /line 2: expected two tokens/,
    ],
    "a merge of tokens that there are not": [
      { "vocab.json": '{"a":0}', "merges.txt": "a b\n" },
      "vocab.json",
      /cannot be read as a tokenizer/,
    ],
    "a class that is not known": [
      {
        "vocab.json": '{"a":0}',
        "merges.txt": "",
        "tokenizer_config.json": JSON.stringify({ tokenizer_class: "CLIPTokenizer" }),
      },
      "vocab.json",
      /the tokenizer_class CLIPTokenizer is not supported without a tokenizer\.json/,
    ],
    "settings that are no JSON": [
      { "tokenizer.json": whole, "tokenizer_config.json": "nope" },
      "tokenizer_config.json",
      /not JSON/,
    ],
    "an added token with a negative id": [
      {
        "tokenizer.json": whole,
        "tokenizer_config.json": JSON.stringify({ added_tokens_decoder: { "-1": { content: "x" } } }),
      },
      "tokenizer_config.json",
      /added_tokens_decoder/,
    ],
    "no end of text": [
      { "tokenizer.json": whole, "tokenizer_config.json": "{}" },
      "tokenizer_config.json",
      /eos_token is missing/,
    ],
  };
  for (const [what, [files, named, message]] of Object.entries(cases))
    test(what, async () => {
      using folder = createFolder({ "tokenizer_config.json": settings, ...files });
      const problem = await errorMessage(() => readTokenizer(folder.path));
      expect(problem).toStartWith(join(folder.path, named));
      expect(problem).toMatch(message);
    });
});

describe("an ONNX file that", () => {
  const options = { rows: 1, rowLength: 8, k: 2, tokenizerSize: 4, device: "cpu", threads: 1 } as const;
  const config = JSON.stringify({ model_type: "phi9", vocab_size: 97, max_position_embeddings: 64 });
  const open = (folder: string) => openScorer(folder, undefined, options);
  const cases: Record<string, [Uint8Array, RegExp]> = {
    "is empty": [new Uint8Array(0), /cannot be loaded/],
    "is text": [ascii("hello"), /cannot be loaded/],
    "is cut": [Uint8Array.of(8, 9, 18, 9, 116, 114), /cannot be loaded/],
  };
  for (const [what, [content, message]] of Object.entries(cases))
    test(what, async () => {
      using folder = createFolder({ "config.json": config });
      mkdirSync(join(folder.path, "onnx"));
      writeFileSync(join(folder.path, "onnx/model.onnx"), content);
      const problem = await errorMessage(() => open(folder.path));
      expect(problem).toStartWith(join(folder.path, "onnx/model.onnx"));
      expect(problem).toMatch(message);
    });

  test("is not there, and nothing else is", async () => {
    using folder = createFolder({ "config.json": config });
    expect(await errorMessage(() => open(folder.path))).toContain(
      `${join(folder.path, "config.json")}: model_type "phi9"`,
    );
    using known = copyFolder(join(torch, "safetensors"));
    rmSync(join(known.path, "model.safetensors"));
    expect(await errorMessage(() => open(known.path))).toBe(
      `${known.path}: no weights found; expected model.safetensors, pytorch_model.bin (whole or sharded) or onnx/model.onnx`,
    );
  });
});

describe("with any bytes changed, reading ends in an error or in weights that fit the model", () => {
  const cases: Record<string, [string, string, (folder: string) => unknown]> = {
    safetensors: [
      join(torch, "safetensors"),
      "model.safetensors",
      (path) => readWeights(path, readDecoder(path)),
    ],
    "torch.save": [join(torch, "bin"), "pytorch_model.bin", (path) => readWeights(path, readDecoder(path))],
  };
  for (const [what, [origin, file, read]] of Object.entries(cases))
    test(what, async () => {
      using copy = copyFolder(origin);
      const path = join(copy.path, file);
      const bytes = new Uint8Array(readFileSync(path));
      // Headers are in the first bytes, a zip's directory in the last.
      const place = fc.oneof(
        fc.nat({ max: 3000 }),
        fc.nat({ max: 3000 }).map((back) => bytes.length - 1 - back),
      );
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(place, fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
          async (changes) => {
            const changed = bytes.slice();
            for (const [at, value] of changes) changed[at] = value;
            writeFileSync(path, changed);
            const problem = await errorMessage(() => read(copy.path));
            if (problem !== "no error") expect(problem).toStartWith(copy.path);
          },
        ),
        { numRuns: 300 },
      );
    });

  test("tokenizer.model", async () => {
    using folder = createFolder({ "tokenizer_config.json": JSON.stringify({ eos_token: "</s>" }) });
    const path = join(folder.path, "tokenizer.model");
    const bytes = new Uint8Array(readFileSync(join(import.meta.dir, "../fixtures/sentencepiece/bpe.model")));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }), async (at, value) => {
        const changed = bytes.slice();
        changed[at] = value;
        writeFileSync(path, changed);
        const problem = await errorMessage(() => readTokenizer(folder.path));
        if (problem !== "no error") expect(problem).toStartWith(folder.path);
      }),
      { numRuns: 200 },
    );
  });
});
