/** @file Blocks for tests, and their places in the data. */

/** A block that is a whole row of the data and its own group. */
export function blockAt(row: number, domain = "all") {
  const cursor = { epoch: 0, file: 0, row };
  return {
    block: { text: "x", textOffset: 0, last: true, id: `${row}`, domain, cursor },
    origin: { cursor, textOffset: 0, tokensBefore: 0 },
  };
}

/** Where a stream resumes within that block. */
export const resumeAt = (row: number, tokensTaken: number) => ({ ...blockAt(row).origin, tokensTaken });
