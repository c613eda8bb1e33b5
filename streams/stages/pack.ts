/** @file Stage 7: blocks to rows of equal length. */
import { type BlockStatistics, type Fused, type Packed, type ResumePoint, startOfData } from "../records.ts";

export interface PackOptions {
  readonly rowLength: number;
  /** Entries of each soft target; shorter ones are padded with probability 0. */
  readonly entries: number;
  /**
   * true: a token attends to its own block only, and positions restart with each block. false: rows are
   * concatenated text, as in the reference, and a block's last token predicts the next block's first.
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
    // Padding attends to padding only, and no text attends to it.
    this.documents = new Int32Array(rowLength).fill(-1);
    this.targets = new Int32Array(rowLength * entries);
    this.probabilities = new Float32Array(rowLength * entries);
    for (let t = 0; t < rowLength; t++) this.probabilities[t * entries] = 1;
    this.weights = new Float32Array(rowLength);
  }

  /** The next token is the first of a block, or of the rest of one. */
  startBlock({ ids }: Fused): void {
    const { boundaries, entries } = this.#options;
    if (boundaries || this.#document < 0) {
      this.#document++;
      this.#positionBase = this.length;
    }
    // The rest of a block begins a row, so nothing before it predicts its first token a second time.
    if (boundaries || this.length === 0) return;
    this.targets[(this.length - 1) * entries] = ids[0];
    this.weights[this.length - 1] = 1;
  }

  push({ ids, targets, weights }: Fused, t: number): void {
    const at = this.length++;
    const { entries } = this.#options;
    this.ids[at] = ids[t];
    this.documents[at] = this.#document;
    this.positions[at] = at - this.#positionBase;
    const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
    if (from === to) return;
    this.weights[at] = weights[t];
    this.targets.set(targets.ids.subarray(from, to), at * entries);
    this.probabilities.set(targets.values.subarray(from, to), at * entries);
  }
}

/** A block's part in a run's statistics. */
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

/** @param resume tokens of the first block that are in earlier rows. */
export async function* pack(
  fused: AsyncIterable<Fused>,
  options: PackOptions,
  resume: Pick<ResumePoint, "tokensTaken"> = startOfData,
): AsyncGenerator<Packed> {
  let row = new Row(options);
  let next: Packed["next"] | undefined;
  let first = resume.tokensTaken;
  let statistics: BlockStatistics[] = [];
  const finish = (): Packed => {
    const { ids, positions, documents, targets, probabilities, weights, length } = row;
    const filled = { ids, positions, documents, targets, probabilities, weights, tokens: length, statistics };
    row = new Row(options);
    statistics = [];
    return { ...filled, next: next! };
  };
  for await (const item of fused) {
    for (let t = first; t < item.ids.length; t++) {
      if (t === first || row.length === 0) row.startBlock(item);
      if (t === 0) statistics.push(countBlock(item));
      row.push(item, t);
      next = { ...item.origin, tokensTaken: t + 1 };
      if (row.length === options.rowLength) yield finish();
    }
    first = 0;
  }
  if (row.length > 0) yield finish();
}
