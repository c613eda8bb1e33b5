/** Where a block of a test's data is, and what it is. */

/** A block that is all of a row of the data, and begins what goes to the teachers together. */
export function placeOf(row: number, domain = "all") {
  const cursor = { epoch: 0, file: 0, row };
  return {
    block: { text: "x", textOffset: 0, last: true, id: `${row}`, domain, cursor },
    group: { cursor, start: 0, before: 0 },
  };
}

/** So many tokens of it are used. */
export const positionOf = (row: number, taken: number) => ({ ...placeOf(row).group, taken });
