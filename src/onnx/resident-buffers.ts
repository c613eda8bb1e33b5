/** @file Resident values in buffers of the GPU, uploaded once and read back through a session. */
import { Builder } from "../graph/build.ts";
import type { Dtype, Shape } from "../graph/ops.ts";
import { encode } from "./encode.ts";
import { type Data, free } from "./program.ts";
import { type ResidentValues, checkLength, noValue, tensorTypes, zeros } from "./resident.ts";
import { InferenceSession, Tensor } from "./runtime.ts";
import { sessionOptions } from "./session-options.ts";

type Location = "cpu" | "gpu-buffer";
type Value = Tensor | Data | "zeros";

const isTensor = (value: Value | undefined): value is Tensor => value instanceof Tensor;

/** Copies tensors to or from the GPU. `getData` of a tensor that is there aborts the process (ONNX Runtime 1.30). */
class Copier {
  readonly #to: Location;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();

  constructor(to: Location) {
    this.#to = to;
  }

  /** One session for all tensors of a type and rank. */
  #session(type: string, rank: number): Promise<InferenceSession> {
    const key = `${type} ${rank}`;
    let session = this.#sessions.get(key);
    if (!session) {
      const b = new Builder();
      const shape = Array.from({ length: rank }, (_, axis) => b.dimension(`d${axis}`, []));
      b.output("copy", b.input("tensor", shape, type === "int32" ? "i32" : "f32"));
      const options = { ...sessionOptions("webgpu", 1), preferredOutputLocation: this.#to };
      this.#sessions.set(key, (session = InferenceSession.create(encode(b.graph()), options)));
    }
    return session;
  }

  async copy(tensor: Tensor): Promise<Tensor> {
    const session = await this.#session(tensor.type, tensor.dims.length);
    return (await session.run({ tensor })).copy;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
  }
}

/** Values on a GPU, by name. */
export class ResidentBuffers implements ResidentValues {
  readonly location = "gpu-buffer";
  /** A tensor is a buffer that this owns; an array, or zeros, wait for the run that says their shape. */
  readonly #values = new Map<string, Value>();
  /** What was read back, which is valid as long as the value is. */
  readonly #copies = new Map<string, Data>();
  readonly #upload = new Copier("gpu-buffer");
  readonly #download = new Copier("cpu");

  #set(name: string, value: Value): void {
    const last = this.#values.get(name);
    if (isTensor(last)) last.dispose();
    const copy = this.#copies.get(name);
    if (copy) free([copy]);
    this.#copies.delete(name);
    this.#values.set(name, value);
  }

  write(name: string, data: Data): void {
    this.#set(name, data);
  }

  clear(name: string): void {
    this.#set(name, "zeros");
  }

  async read(name: string): Promise<Data> {
    const value = this.#values.get(name);
    if (!value || value === "zeros") throw noValue(name);
    if (!isTensor(value)) return value;
    const copy = this.#copies.get(name) ?? ((await this.#download.copy(value)).data as Data);
    this.#copies.set(name, copy);
    return copy;
  }

  async feed(name: string, dtype: Dtype, shape: Shape): Promise<Tensor> {
    const value = this.#values.get(name);
    if (isTensor(value)) {
      if (String(value.dims) !== String(shape))
        throw new Error(`run: input "${name}" expects shape [${shape}], its value has [${value.dims}]`);
      return value;
    }
    const data = value === "zeros" ? zeros(dtype, shape) : value;
    checkLength(name, shape, data?.length);
    const buffer = await this.#upload.copy(new Tensor(tensorTypes[dtype], data!, shape));
    this.#set(name, buffer);
    return buffer;
  }

  keep(name: string, output: Tensor): void {
    this.#set(name, output);
  }

  async close(): Promise<void> {
    for (const name of this.#values.keys()) this.clear(name);
    this.#values.clear();
    await this.#upload.close();
    await this.#download.close();
  }
}
