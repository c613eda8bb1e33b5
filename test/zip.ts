/** @file Zip files and pickles, as torch.save writes them or malformed. */

interface ZipOptions {
  /** Compression method of the headers: 0 stored, 8 deflated */
  readonly method?: number;
}

const ascii = (text: string) => new TextEncoder().encode(text);

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Creates a zip of the given entries (APPNOTE.TXT, 4.3), with checksums of 0, which readers ignore. */
export function createZip(files: Readonly<Record<string, Uint8Array>>, { method = 0 }: ZipOptions = {}) {
  const local: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const head = new DataView(new ArrayBuffer(30));
    head.setUint32(0, 0x04034b50, true);
    head.setUint16(8, method, true);
    head.setUint32(18, content.length, true);
    head.setUint32(22, content.length, true);
    head.setUint16(26, name.length, true);
    const entry = new DataView(new ArrayBuffer(46));
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(10, method, true);
    entry.setUint32(20, content.length, true);
    entry.setUint32(24, content.length, true);
    entry.setUint16(28, name.length, true);
    entry.setUint32(42, offset, true);
    local.push(new Uint8Array(head.buffer), ascii(name), content);
    central.push(new Uint8Array(entry.buffer), ascii(name));
    offset += 30 + name.length + content.length;
  }
  const directory = concat(central);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, Object.keys(files).length, true);
  end.setUint16(10, Object.keys(files).length, true);
  end.setUint32(12, directory.length, true);
  end.setUint32(16, offset, true);
  return concat([...local, directory, new Uint8Array(end.buffer)]);
}

// Opcodes of pickles: https://github.com/python/cpython/blob/main/Lib/pickletools.py

const u32 = (value: number) => new Uint8Array(Int32Array.of(value).buffer);
export const op = (code: string) => Uint8Array.from(code, (c) => c.charCodeAt(0));
export const str = (text: string) => concat([op("X"), u32(ascii(text).length), ascii(text)]);
export const int = (value: number) => concat([op("J"), u32(value)]);
export const tuple = (...items: Uint8Array[]) => concat([op("("), ...items, op("t")]);
export const global = (module: string, name: string) => op(`c${module}\n${name}\n`);
export const pickle = (...parts: Uint8Array[]) => concat([op("\x80\x02"), ...parts, op(".")]);
export const dict = (...items: Uint8Array[]) => concat([op("}("), ...items, op("u")]);

export const storage = (key = "0", type = "FloatStorage") =>
  concat([tuple(str("storage"), global("torch", type), str(key), str("cpu"), int(4)), op("Q")]);

/** torch._utils._rebuild_tensor_v2(storage, first, shape, strides, False, OrderedDict()) */
export const rebuilt = (from: Uint8Array, first = 0, shape = [4], strides = [1]) =>
  concat([
    global("torch._utils", "_rebuild_tensor_v2"),
    tuple(
      from,
      int(first),
      tuple(...shape.map(int)),
      tuple(...strides.map(int)),
      op("\x89"),
      concat([global("collections", "OrderedDict"), op(")R")]),
    ),
    op("R"),
  ]);

/** A file of torch.save with this pickle and one storage of four float32. */
export const torchFile = (data: Uint8Array, rest: Readonly<Record<string, Uint8Array>> = {}) =>
  createZip({ "archive/data.pkl": data, "archive/data/0": new Uint8Array(16), ...rest });
