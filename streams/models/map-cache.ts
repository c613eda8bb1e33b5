/** @file Vocabulary maps that take long to build, kept beside the source model for later runs. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Vocabulary } from "../../src/text/vocabulary.ts";

/** Pairs of tokens from which on a map is kept; smaller ones take less than a second. */
const minPairs = 2 ** 28;

/** Follows a map on disk, so that a damaged file is noticed. */
const hashMap = (map: Int32Array | Uint8Array) => createHash("sha256").update(map).digest();
const hashBytes = 32;

function nameFile(folder: string, name: string, source: Vocabulary, target: Vocabulary): string {
  const hash = createHash("sha256");
  for (const { tokens, marker } of [source, target]) hash.update(JSON.stringify([marker, tokens]));
  return join(folder, ".tributary", `${name}-${hash.digest("hex").slice(0, 32)}.i32`);
}

/** The map in a file, if it is whole. */
function readMap(file: string, length: number): Int32Array | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  const map = new Uint8Array(bytes.subarray(0, -hashBytes));
  const isWhole = map.length === 4 * length && hashMap(map).equals(bytes.subarray(map.length));
  return isWhole ? new Int32Array(map.buffer) : undefined;
}

/**
 * Builds a map, or reads it where an earlier run built it for the same two vocabularies.
 * @param folder of the source model.
 * @param threshold pairs of tokens from which on it is kept.
 */
export function cacheMap(
  folder: string,
  name: string,
  source: Vocabulary,
  target: Vocabulary,
  build: (onProgress?: (fraction: number) => void) => Int32Array,
  threshold = minPairs,
): Int32Array {
  if (source.tokens.length * target.tokens.length < threshold) return build();
  const file = nameFile(folder, name, source, target);
  const kept = readMap(file, source.tokens.length);
  if (kept) return kept;
  const map = build((fraction) =>
    process.stderr.write(`\rvocabulary map of ${folder}: ${Math.round(fraction * 100)} %`),
  );
  process.stderr.write("\r\x1b[K");
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, Buffer.concat([new Uint8Array(map.buffer), hashMap(map)]));
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // A read-only folder only costs the next run the same time again.
  }
  return map;
}
