/**
 * @file Scalars as a TensorBoard event file: records of TensorFlow's framing, each one an Event message.
 * https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Writer } from "protobufjs/minimal";

/** Fields of an Event, a Summary and its Value: each a number with its wire type. */
const fields = {
  wallTime: (1 << 3) | 1,
  step: 2 << 3,
  fileVersion: (3 << 3) | 2,
  summary: (5 << 3) | 2,
  value: (1 << 3) | 2,
  tag: (1 << 3) | 2,
  simpleValue: (2 << 3) | 5,
} as const;

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
    this.#append(Writer.create().uint32(fields.fileVersion).string("brain.Event:2"));
  }

  /** Appends one event; it is in the file on return, so nothing is lost if the run is killed. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const event = Writer.create().uint32(fields.step).int64(step).uint32(fields.summary).fork();
    for (const [tag, value] of Object.entries(values)) {
      event.uint32(fields.value).fork();
      event.uint32(fields.tag).string(tag).uint32(fields.simpleValue).float(value).ldelim();
    }
    this.#append(event.ldelim());
  }

  #append(event: Writer): void {
    appendFileSync(
      this.#path,
      frame(
        event
          .uint32(fields.wallTime)
          .double(Date.now() / 1000)
          .finish(),
      ),
    );
  }
}
