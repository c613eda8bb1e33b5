/** @file Files that are something else than their names say, known by their first bytes. */

const starts: readonly (readonly [Buffer, string])[] = [
  [Buffer.from([0xff, 0xfe]), "UTF-16, expected UTF-8"],
  [Buffer.from([0xfe, 0xff]), "UTF-16, expected UTF-8"],
  [Buffer.from([0x1f, 0x8b]), "it is packed by gzip; its name should end in .gz"],
  [Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), "it is packed by zstd; its name should end in .zst"],
  [Buffer.from("PAR1"), "it is parquet; its name should end in .parquet"],
  // Such a file would be trained on as text.
  [
    Buffer.from("version https://git-lfs.github.com/"),
    "a pointer of Git LFS, not the file itself: git lfs pull",
  ],
];

/** @throws where a file of text begins as something else does, or a file of any kind is not there itself. */
export function checkMagic(bytes: Uint8Array): void {
  for (const [start, what] of starts)
    if (start.equals(bytes.subarray(0, start.length))) throw new Error(what);
}
