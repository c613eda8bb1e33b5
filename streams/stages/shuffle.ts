/** @file Stage 1½: documents in shuffled order, one window at a time. */
import { type Random, mulberry32 } from "../../src/random/prng.ts";
import type { Cursor, Document } from "../records.ts";

function permute<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
}

/** Windows do not cross epochs, so that the order does not depend on the number of epochs. */
async function* windows(documents: AsyncIterable<Document>, size: number): AsyncGenerator<Document[]> {
  let group: Document[] = [];
  for await (const document of documents) {
    if (group.length > 0 && document.cursor.epoch !== group[0].cursor.epoch) {
      yield group;
      group = [];
    }
    group.push(document);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

/**
 * Shuffles each `window` documents among themselves. The cursor of a shuffled document is that of its window's
 * first document, with its index within the window.
 *
 * @param window 0 keeps the order.
 * @param from the cursor that the documents start at.
 */
export async function* shuffle(
  documents: AsyncIterable<Document>,
  window: number,
  seed: number,
  from: Cursor,
): AsyncGenerator<Document> {
  if (window === 0) return yield* documents;
  let skip = from.nth ?? 0;
  for await (const group of windows(documents, window)) {
    const { epoch, file, row } = group[0].cursor;
    permute(
      group,
      mulberry32(seed ^ Math.imul(epoch + 1, 0x9e3779b1) ^ Math.imul(file + 1, 0x85ebca6b) ^ row),
    );
    for (let nth = skip; nth < group.length; nth++)
      yield { ...group[nth], cursor: { epoch, file, row, nth } };
    skip = 0;
  }
}
