/** @file Reads torch.save files such as pytorch_model.bin: a zip of a pickle and the bytes of each storage. */
import { statSync } from "node:fs";
import { type Entry, RandomAccessReader, fromRandomAccessReaderPromise } from "yauzl";
import { type Shape, sizeOf } from "../graph/ops.ts";
import { type TensorRef, bytesPerElement, readBytes } from "./tensor-ref.ts";
import { Global, format, unpickle } from "./unpickle.ts";

const storages: Readonly<Record<string, string>> = {
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.DoubleStorage": "F64",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
};

/** Entries of a zip, one per storage. */
const maxEntries = 200_000;

/** More than the pickle of a model with 100,000 tensors. */
const maxPickleBytes = 64_000_000;

interface Storage {
  readonly dtype: string;
  readonly key: string;
}

/** A tensor in the pickle: a view into a storage from element `first`. */
interface View {
  readonly storage: Storage;
  readonly first: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

const isView = (value: unknown): value is View =>
  typeof value === "object" && value !== null && "strides" in value;

const isShape = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((length) => Number.isSafeInteger(length) && length >= 0);

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks) */
function rebuildTensor(storage: unknown, first: unknown, shape: unknown, strides: unknown): View {
  if (!isShape([first]) || !isShape(shape) || !isShape(strides) || !(storage as Storage)?.dtype)
    throw new Error("invalid arguments for a tensor");
  return { storage: storage as Storage, first: first as number, shape, strides };
}

/** ("storage", type, key, device, elements) */
function readStorage(id: unknown): Storage {
  const [kind, type, key] = Array.isArray(id) ? id : [];
  const dtype = type instanceof Global ? storages[type.name] : undefined;
  if (kind !== "storage" || !dtype || typeof key !== "string")
    throw new Error("persistent id is not a numeric storage");
  return { dtype, key };
}

const allowed = {
  functions: {
    "collections.OrderedDict": () => new Map(),
    "torch._utils._rebuild_tensor_v2": rebuildTensor,
    "torch._utils._rebuild_parameter": (tensor: unknown) => tensor,
  },
  isName: (name: string) => Object.hasOwn(storages, name),
  resolveId: readStorage,
};

/** Reads a file for yauzl. Positions outside the file, as a damaged zip may have, are errors that can be caught. */
class BoundedReader extends RandomAccessReader {
  readonly #path: string;
  readonly #size: number;

  constructor(path: string, size: number) {
    super();
    this.#path = path;
    this.#size = size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    // Never synchronously: yauzl would recurse.
    queueMicrotask(() => {
      if (!Number.isSafeInteger(position) || position < 0 || position + length > this.#size)
        return callback(new Error(`a position outside the ${this.#size} bytes of the file`));
      buffer.set(readBytes(this.#path, position, length), offset);
      return callback(null);
    });
  }
}

/** The location of each entry of an uncompressed zip. */
async function listEntries(path: string): Promise<Map<string, { offset: number; size: number }>> {
  const files = new Map<string, { offset: number; size: number }>();
  const { size } = statSync(path);
  const zip = await fromRandomAccessReaderPromise(new BoundedReader(path, size), size, {
    lazyEntries: true,
    autoClose: false,
  });
  try {
    const entries: Entry[] = [];
    if (zip.entryCount > maxEntries)
      throw new Error(`${zip.entryCount} entries, expected at most ${maxEntries}`);
    for await (const entry of zip.eachEntry()) entries.push(entry);
    for (const entry of entries) {
      if (entry.compressionMethod !== 0) throw new Error(`${entry.fileName} is compressed`);
      const { fileDataStart: offset } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      files.set(entry.fileName, { offset, size: entry.uncompressedSize });
    }
  } finally {
    zip.close();
  }
  return files;
}

function isContiguous({ shape, strides }: View): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/**
 * The location of each tensor in a file. Only the pickle is read, and nothing in it is executed.
 * @throws naming the file and tensor, if the file is damaged, of the format before PyTorch 1.6 (no zip), or if
 *   its pickle does anything but describe tensors.
 */
export async function readTorchFile(path: string): Promise<Map<string, TensorRef>> {
  const fail = (problem: string, cause?: unknown): never => {
    throw new Error(`${path}: ${problem}`, { cause });
  };
  const files = await listEntries(path).catch((cause: Error) =>
    fail(
      `cannot be read as a torch.save file (files from before PyTorch 1.6 must be saved again): ${cause.message}`,
      cause,
    ),
  );
  const pickle =
    [...files.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name)) ?? fail("data.pkl is missing");
  const archive = pickle.slice(0, -"data.pkl".length);
  const { offset, size } = files.get(pickle)!;
  if (size > maxPickleBytes) fail(`data.pkl has ${size} bytes, expected at most ${maxPickleBytes}`);
  const order = files.get(`${archive}byteorder`);
  if (order && new TextDecoder().decode(readBytes(path, order.offset, order.size)) !== "little")
    fail("tensors are big-endian, expected little-endian");
  let value: unknown;
  try {
    value = unpickle(readBytes(path, offset, size), allowed);
  } catch (cause) {
    fail(`pickle rejected: ${(cause as Error).message}`, cause);
  }
  if (!(value instanceof Map)) return fail("expected a dict of tensors");
  const tensors = new Map<string, TensorRef>();
  for (const [name, view] of value) {
    if (typeof name !== "string" || !isView(view)) return fail(`${format(name)} is not a tensor`);
    const { dtype, key } = view.storage;
    const data = files.get(`${archive}data/${key}`) ?? fail(`tensor ${name}: data/${key} is missing`);
    if (!isContiguous(view)) fail(`tensor ${name} [${view.shape}] is a strided view; save a contiguous copy`);
    const width = bytesPerElement[dtype as keyof typeof bytesPerElement] ?? 1;
    if ((view.first + sizeOf(view.shape)) * width > data.size)
      fail(`tensor ${name} [${view.shape}] exceeds the ${data.size} bytes of data/${key}`);
    tensors.set(name, { path, offset: data.offset + view.first * width, dtype, shape: view.shape });
  }
  return tensors;
}
