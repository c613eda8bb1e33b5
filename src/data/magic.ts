/** @file Detects files that are not what their names say, by their magic numbers. */

const signatures: readonly (readonly [Buffer, string])[] = [
  [Buffer.from([0xff, 0xfe]), "UTF-16, expected UTF-8"],
  [Buffer.from([0xfe, 0xff]), "UTF-16, expected UTF-8"],
  [Buffer.from([0x1f, 0x8b]), "gzip-compressed; expected a name ending in .gz"],
  [Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), "zstd-compressed; expected a name ending in .zst"],
  [Buffer.from("PAR1"), "parquet; expected a name ending in .parquet"],
  // A pointer would be trained on as text.
  [
    Buffer.from("version https://git-lfs.github.com/"),
    "a Git LFS pointer, not the file itself; run git lfs pull",
  ],
];

/** @throws if a file starts like one of another format, or is a Git LFS pointer. */
export function checkMagic(bytes: Uint8Array): void {
  for (const [signature, reason] of signatures)
    if (signature.equals(bytes.subarray(0, signature.length))) throw new Error(reason);
}
