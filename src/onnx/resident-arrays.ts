/** @file Resident values as plain arrays, which runs read in place: nothing is copied. */
import type { Dtype, Shape } from "../graph/ops.ts";
import { type Data, free } from "./program.ts";
import { type ResidentValues, checkLength, noValue, tensorTypes, zeros } from "./resident.ts";
import { Tensor } from "./runtime.ts";

interface Value {
  /** None: zeros, allocated by the run that says how many. */
  readonly data: Data | undefined;
  /** What a run returned is freed when it is replaced; what was written is the caller's. */
  readonly owned: boolean;
}

/** Values on the CPU, by name. */
export class ResidentArrays implements ResidentValues {
  readonly location = "cpu";
  readonly #values = new Map<string, Value>();

  #set(name: string, value: Value): void {
    const last = this.#values.get(name);
    if (last?.owned && last.data && last.data !== value.data) free([last.data]);
    this.#values.set(name, value);
  }

  write(name: string, data: Data): void {
    this.#set(name, { data, owned: false });
  }

  clear(name: string): void {
    this.#set(name, { data: undefined, owned: true });
  }

  async read(name: string): Promise<Data> {
    const data = this.#values.get(name)?.data;
    if (!data) throw noValue(name);
    return data;
  }

  feed(name: string, dtype: Dtype, shape: Shape): Tensor {
    const value = this.#values.get(name);
    if (value && !value.data) this.#set(name, { data: zeros(dtype, shape), owned: true });
    const data = this.#values.get(name)?.data;
    checkLength(name, shape, data?.length);
    return new Tensor(tensorTypes[dtype], data!, shape);
  }

  keep(name: string, { data }: Tensor): void {
    this.#set(name, { data: data as Data, owned: true });
  }

  async close(): Promise<void> {
    for (const name of this.#values.keys()) this.clear(name);
    this.#values.clear();
  }
}
