/**
 * @file Scalars as a TensorBoard event file: records of TensorFlow's framing, each one an Event message.
 * https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Message } from "../../src/onnx/protobuf.ts";

/** CRC-32C (Castagnoli), which is not the CRC-32 of zlib. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255];
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** length, its checksum, the data, its checksum */
function frame(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

export class EventFile {
  readonly #path: string;

  /** @param folder is created if missing; the file in it is new. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#path = join(
      folder,
      `events.out.tfevents.${Math.floor(Date.now() / 1000)}.tributary.${process.pid}`,
    );
    this.#append(new Message().string(3, "brain.Event:2"));
  }

  /** Appends one event; it is in the file on return, so nothing is lost if the run is killed. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const summary = new Message();
    for (const [tag, value] of Object.entries(values))
      summary.message(1, new Message().string(1, tag).float(2, value));
    this.#append(new Message().integer(2, step).message(5, summary));
  }

  #append(event: Message): void {
    appendFileSync(this.#path, frame(event.double(1, Date.now() / 1000).encode()));
  }
}
