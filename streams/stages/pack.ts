/** @file Stage 7: blocks to rows of equal length. */
import type { Fused, BlockStatistics, Packed, Position } from "../records.ts";

export interface PackOptions {
  readonly rowLength: number;
  /** Entries of each soft target; shorter ones are filled up with probability 0. */
  readonly entries: number;
  /**
   * true: a token sees its own block only and positions restart with it. false: rows are plain text
   * one after the other, as in the reference, and a block's end predicts the next one's begin.
   */
  readonly boundaries: boolean;
}

/** A row being filled. */
class Row {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly documents: Int32Array;
  readonly targets: Int32Array;
  readonly probabilities: Float32Array;
  readonly weights: Float32Array;
  length = 0;
  #document = -1;
  #positionBase = 0;
  readonly #options: PackOptions;

  constructor(options: PackOptions) {
    const { rowLength, entries } = options;
    this.#options = options;
    this.ids = new Int32Array(rowLength);
    this.positions = new Int32Array(rowLength);
    // Places that stay empty see each other, and no text sees them.
    this.documents = new Int32Array(rowLength).fill(-1);
    this.targets = new Int32Array(rowLength * entries);
    this.probabilities = new Float32Array(rowLength * entries);
    for (let t = 0; t < rowLength; t++) this.probabilities[t * entries] = 1;
    this.weights = new Float32Array(rowLength);
  }

  /** A block, or what is left of one, begins at the next place. */
  startBlock({ ids }: Fused): void {
    const { boundaries, entries } = this.#options;
    if (boundaries || this.#document < 0) {
      this.#document++;
      this.#positionBase = this.length;
    }
    // What is left of a block begins a row, so that nothing before it predicts its first token again.
    if (boundaries || this.length === 0) return;
    this.targets[(this.length - 1) * entries] = ids[0];
    this.weights[this.length - 1] = 1;
  }

  push({ ids, targets, weights }: Fused, t: number): void {
    const place = this.length++;
    const { entries } = this.#options;
    this.ids[place] = ids[t];
    this.documents[place] = this.#document;
    this.positions[place] = place - this.#positionBase;
    const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
    if (from === to) return;
    this.weights[place] = weights[t];
    this.targets.set(targets.ids.subarray(from, to), place * entries);
    this.probabilities.set(targets.values.subarray(from, to), place * entries);
  }
}

/** What of a block goes into a run's figures. */
export function countBlock({ block: { domain }, ids, credit, unaligned, teachers }: Fused): BlockStatistics {
  const counted = teachers.map(({ aligned, multiToken, dropped, tail, nllPerByte, bytes }, i) => ({
    credit: credit[i],
    aligned,
    multiToken,
    dropped,
    tail,
    nats: nllPerByte * bytes,
    bytes,
  }));
  return { domain, positions: Math.max(0, ids.length - 1), unaligned, teachers: counted };
}

/** @param skip tokens of the first block to leave out, where the stream goes on in the middle of one. */
export async function* pack(
  fused: AsyncIterable<Fused>,
  options: PackOptions,
  skip = 0,
): AsyncGenerator<Packed> {
  let row = new Row(options);
  let next: Position | undefined;
  let from = skip;
  let statistics: BlockStatistics[] = [];
  const finish = (): Packed => {
    const { ids, positions, documents, targets, probabilities, weights, length } = row;
    const filled = { ids, positions, documents, targets, probabilities, weights, tokens: length, statistics };
    row = new Row(options);
    statistics = [];
    return { ...filled, next: next! };
  };
  for await (const item of fused) {
    for (let t = from; t < item.ids.length; t++) {
      if (t === from || row.length === 0) row.startBlock(item);
      if (t === 0) statistics.push(countBlock(item));
      row.push(item, t);
      next = { ...item.group, taken: t + 1 };
      if (row.length === options.rowLength) yield finish();
    }
    from = 0;
  }
  if (row.length > 0) yield finish();
}
