/** @file Reads files of torch.save, such as pytorch_model.bin: a zip of one pickle and the bytes of each tensor. */
import { statSync } from "node:fs";
import { type Entry, RandomAccessReader, fromRandomAccessReaderPromise } from "yauzl";
import { type Shape, sizeOf } from "../graph/ops.ts";
import { type TensorRef, bytesPerElement, readBytes } from "./tensor-ref.ts";
import { Global, shown, unpickle } from "./unpickle.ts";

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

/** Files of a zip, one for each tensor. */
const mostFiles = 200_000;

/** Largest pickle that is read: that of a model with 100,000 tensors is smaller. */
const pickleLimit = 64_000_000;

interface Storage {
  readonly dtype: string;
  readonly key: string;
}

/** A tensor as the pickle has it: elements of a storage, from one on. */
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
function rebuild(storage: unknown, first: unknown, shape: unknown, strides: unknown): View {
  if (!isShape([first]) || !isShape(shape) || !isShape(strides) || !(storage as Storage)?.dtype)
    throw new Error("it makes a tensor out of what is none");
  return { storage: storage as Storage, first: first as number, shape, strides };
}

/** ("storage", type, key, device, elements) */
function storageOf(id: unknown): Storage {
  const [kind, type, key] = Array.isArray(id) ? id : [];
  const dtype = type instanceof Global ? storages[type.name] : undefined;
  if (kind !== "storage" || !dtype || typeof key !== "string")
    throw new Error("it refers to something that is no storage of numbers");
  return { dtype, key };
}

const known = {
  functions: {
    "collections.OrderedDict": () => new Map(),
    "torch._utils._rebuild_tensor_v2": rebuild,
    "torch._utils._rebuild_parameter": (tensor: unknown) => tensor,
  },
  mentions: (name: string) => Object.hasOwn(storages, name),
  persistent: storageOf,
};

/** A file as yauzl reads it, but that a place outside of it is an error to be caught, as a damaged zip may name one. */
class WithinFile extends RandomAccessReader {
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
    // Never at once: yauzl would call itself again and again.
    queueMicrotask(() => {
      if (!Number.isSafeInteger(position) || position < 0 || position + length > this.#size)
        return callback(new Error(`a place outside of the ${this.#size} bytes of the file`));
      buffer.set(readBytes(this.#path, position, length), offset);
      return callback(null);
    });
  }
}

/** Where each uncompressed file of a zip lies. */
async function filesOf(path: string): Promise<Map<string, { offset: number; size: number }>> {
  const files = new Map<string, { offset: number; size: number }>();
  const { size } = statSync(path);
  const zip = await fromRandomAccessReaderPromise(new WithinFile(path, size), size, {
    lazyEntries: true,
    autoClose: false,
  });
  try {
    const entries: Entry[] = [];
    if (zip.entryCount > mostFiles)
      throw new Error(`it has ${zip.entryCount} files, expected at most ${mostFiles}`);
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
 * Where each tensor of a file lies. Only the pickle is read, and nothing in it is executed.
 * @throws naming the file and tensor, where it is damaged, of the old format that is no zip, or does
 *   anything but describe tensors.
 */
export async function readTorchFile(path: string): Promise<Map<string, TensorRef>> {
  const fail = (problem: string, cause?: unknown): never => {
    throw new Error(`${path}: ${problem}`, { cause });
  };
  const files = await filesOf(path).catch((cause: Error) =>
    fail(
      `not read as a file of torch.save (one of before PyTorch 1.6 is to be saved anew): ${cause.message}`,
      cause,
    ),
  );
  const pickle =
    [...files.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name)) ?? fail("it has no data.pkl");
  const archive = pickle.slice(0, -"data.pkl".length);
  const { offset, size } = files.get(pickle)!;
  if (size > pickleLimit) fail(`its data.pkl has ${size} bytes, expected at most ${pickleLimit}`);
  const order = files.get(`${archive}byteorder`);
  if (order && new TextDecoder().decode(readBytes(path, order.offset, order.size)) !== "little")
    fail("its numbers are big-endian");
  let value: unknown;
  try {
    value = unpickle(readBytes(path, offset, size), known);
  } catch (cause) {
    fail(`its pickle was refused: ${(cause as Error).message}`, cause);
  }
  if (!(value instanceof Map)) return fail("expected a dict of tensors");
  const tensors = new Map<string, TensorRef>();
  for (const [name, view] of value) {
    if (typeof name !== "string" || !isView(view)) return fail(`${shown(name)} is no tensor`);
    const { dtype, key } = view.storage;
    const data = files.get(`${archive}data/${key}`) ?? fail(`tensor ${name}: its data/${key} is missing`);
    if (!isContiguous(view)) fail(`tensor ${name} [${view.shape}] is a strided view; save it contiguous`);
    const width = bytesPerElement[dtype as keyof typeof bytesPerElement] ?? 1;
    if ((view.first + sizeOf(view.shape)) * width > data.size)
      fail(`tensor ${name} [${view.shape}] needs more than the ${data.size} bytes of its data/${key}`);
    tensors.set(name, { path, offset: data.offset + view.first * width, dtype, shape: view.shape });
  }
  return tensors;
}
