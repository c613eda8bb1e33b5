/**
 * @file A restricted reader of Python pickles (protocols 2 to 5). It executes nothing: a pickle may build
 * plain values and call the functions that the caller allows; everything else is rejected by name.
 * Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */

/** A global name, such as "torch.FloatStorage". */
export class Global {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What a pickle may use. */
export interface Allowed {
  /** Callable functions by full name; their arguments are not checked. */
  readonly functions: Readonly<Record<string, (...args: unknown[]) => unknown>>;
  /** Whether a name may be referred to, which has no effect. */
  readonly isName: (name: string) => boolean;
  /** Resolves a persistent id. */
  readonly resolveId: (id: unknown) => unknown;
}

/** More than a file of 50,000 tensors has. Each opcode makes at most one value. */
const maxOpcodes = 2_000_000;
/** More than _rebuild_tensor_v2 takes. */
const maxArguments = 16;
/** Of a string: names are short. */
const maxTextBytes = 2 ** 16;

/** A value for an error message. Tuples are not printed: nested references can make their text exponentially long. */
export const format = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value).slice(0, 100) : "a value";

const mark = Symbol("mark");
const decoder = new TextDecoder("utf-8", { fatal: true });

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new Error("unexpected end");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A little-endian integer of 1, 2, 4 or 8 bytes. */
  integer(width: number, signed = false): number {
    const at = this.#at;
    this.take(width);
    if (width === 1) return this.#view.getUint8(at);
    if (width === 2) return this.#view.getUint16(at, true);
    if (width === 4) return signed ? this.#view.getInt32(at, true) : this.#view.getUint32(at, true);
    return Number(this.#view.getBigUint64(at, true));
  }

  double(): number {
    const at = this.#at;
    this.take(8);
    return this.#view.getFloat64(at, false);
  }

  line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) throw new Error("unexpected end");
    const text = this.text(end - this.#at);
    this.#at++;
    return text;
  }

  text(length: number): string {
    const bytes = this.take(length);
    if (length > maxTextBytes) throw new Error(`string of ${length} bytes, expected at most ${maxTextBytes}`);
    return decoder.decode(bytes);
  }

  /** A little-endian two's complement integer of any length. */
  long(length: number): number {
    let value = 0n;
    const bytes = this.take(length);
    bytes.forEach((byte, i) => (value |= BigInt(byte) << BigInt(8 * i)));
    return Number(BigInt.asIntN(8 * length, value));
  }
}

class Machine {
  readonly #in: Reader;
  readonly #allowed: Allowed;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(bytes: Uint8Array, allowed: Allowed) {
    this.#in = new Reader(bytes);
    this.#allowed = allowed;
  }

  #pop(): unknown {
    if (this.#stack.length === 0) throw new Error("stack underflow");
    return this.#stack.pop();
  }

  #top(): unknown {
    const top = this.#pop();
    this.#stack.push(top);
    return top;
  }

  #untilMark(): unknown[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw new Error("stack underflow");
    return this.#stack.splice(at).slice(1);
  }

  #tuple(length: number): unknown[] {
    return Array.from({ length }, () => this.#pop()).reverse();
  }

  #set(entries: readonly unknown[]): void {
    const map = this.#top();
    if (!(map instanceof Map)) throw new Error("item set on a value that is not a dict");
    for (let i = 0; i < entries.length; i += 2) map.set(entries[i], entries[i + 1]);
  }

  #append(values: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw new Error("append to a value that is not a list");
    for (const value of values) list.push(value);
  }

  #recall(index: number): void {
    if (!this.#memo.has(index)) throw new Error(`memo entry ${index} is not set`);
    this.#stack.push(this.#memo.get(index));
  }

  #global(name: string): void {
    if (!Object.hasOwn(this.#allowed.functions, name) && !this.#allowed.isName(name))
      throw new Error(`global ${format(name)} is not allowed`);
    this.#stack.push(new Global(name));
  }

  #call(): void {
    const [callee, args] = this.#tuple(2);
    const name = callee instanceof Global ? callee.name : "";
    if (!Object.hasOwn(this.#allowed.functions, name) || !Array.isArray(args) || args.length > maxArguments)
      throw new Error(`call of ${name || "a value"} is not allowed`);
    this.#stack.push(this.#allowed.functions[name](...args));
  }

  /** All supported opcodes except STOP. */
  readonly #operations: Readonly<Record<string, () => unknown>> = {
    "\x80": () => this.#in.take(1), // PROTO
    "\x95": () => this.#in.take(8), // FRAME
    "(": () => this.#stack.push(mark),
    "0": () => this.#pop(),
    N: () => this.#stack.push(null),
    "\x88": () => this.#stack.push(true),
    "\x89": () => this.#stack.push(false),
    J: () => this.#stack.push(this.#in.integer(4, true)),
    K: () => this.#stack.push(this.#in.integer(1)),
    M: () => this.#stack.push(this.#in.integer(2)),
    "\x8a": () => this.#stack.push(this.#in.long(this.#in.integer(1))), // LONG1
    G: () => this.#stack.push(this.#in.double()),
    X: () => this.#stack.push(this.#in.text(this.#in.integer(4))), // BINUNICODE
    "\x8c": () => this.#stack.push(this.#in.text(this.#in.integer(1))), // SHORT_BINUNICODE
    "}": () => this.#stack.push(new Map()),
    "]": () => this.#stack.push([]),
    ")": () => this.#stack.push([]),
    t: () => this.#stack.push(this.#untilMark()),
    l: () => this.#stack.push(this.#untilMark()),
    "\x85": () => this.#stack.push(this.#tuple(1)),
    "\x86": () => this.#stack.push(this.#tuple(2)),
    "\x87": () => this.#stack.push(this.#tuple(3)),
    s: () => this.#set(this.#tuple(2)),
    u: () => this.#set(this.#untilMark()),
    a: () => this.#append([this.#pop()]),
    e: () => this.#append(this.#untilMark()),
    q: () => this.#memo.set(this.#in.integer(1), this.#top()),
    r: () => this.#memo.set(this.#in.integer(4), this.#top()),
    "\x94": () => this.#memo.set(this.#memo.size, this.#top()), // MEMOIZE
    h: () => this.#recall(this.#in.integer(1)),
    j: () => this.#recall(this.#in.integer(4)),
    c: () => this.#global(`${this.#in.line()}.${this.#in.line()}`), // GLOBAL
    "\x93": () => this.#global(this.#tuple(2).map(format).join(".")), // STACK_GLOBAL
    Q: () => this.#stack.push(this.#allowed.resolveId(this.#pop())), // BINPERSID
    R: () => this.#call(), // REDUCE
    // BUILD sets an object's attributes, which a dict of tensors does not need.
    b: () => this.#pop(),
  };

  run(): unknown {
    for (let count = 0; ; count++) {
      if (count > maxOpcodes) throw new Error(`more than ${maxOpcodes} opcodes`);
      const opcode = String.fromCharCode(this.#in.integer(1));
      if (opcode === ".") return this.#pop();
      const operation = this.#operations[opcode];
      if (!operation) throw new Error(`opcode 0x${opcode.charCodeAt(0).toString(16)} is not allowed`);
      operation();
    }
  }
}

/**
 * The value of a pickle: dicts as Maps; lists and tuples as arrays.
 * @throws naming the cause, if the pickle is damaged or uses anything that is not allowed.
 */
export const unpickle = (bytes: Uint8Array, allowed: Allowed): unknown => new Machine(bytes, allowed).run();
