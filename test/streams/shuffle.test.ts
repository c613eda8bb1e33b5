import { expect, test } from "bun:test";
import type { Cursor, Document } from "../../streams/records.ts";
import { shuffle } from "../../streams/stages/shuffle.ts";

const document = (epoch: number, row: number): Document => ({
  id: `${epoch}:${row}`,
  domain: "all",
  text: "x",
  cursor: { epoch, file: 0, row },
});

async function* data(epochs: number, from: Cursor): AsyncGenerator<Document> {
  for (let epoch = from.epoch; epoch < epochs; epoch++)
    for (let row = epoch === from.epoch ? from.row : 0; row < 8; row++) yield document(epoch, row);
}
const start = { epoch: 0, file: 0, row: 0 };
const ids = async (epochs: number, window: number, from: Cursor = start) =>
  (await Array.fromAsync(shuffle(data(epochs, from), window, 7, from))).map(({ id }) => id);

for (const window of [3, 8, 100])
  test(`with a window of ${window}, the first epoch does not depend on the number of epochs`, async () => {
    const [once, twice] = [await ids(1, window), await ids(2, window)];
    expect(twice.slice(0, 8)).toEqual(once);
    expect(new Set(twice).size).toBe(16);
    // So a run can be extended: it continues inside a window that the end of the data had cut off.
    for await (const { id, cursor } of shuffle(data(1, start), window, 7, start))
      expect(await ids(2, window, cursor)).toEqual(twice.slice(twice.indexOf(id)));
  });
