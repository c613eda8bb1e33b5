/** @file Levenshtein distances from one string to many, on typed arrays. */

/** Strings as code points in one array: string i is codes[starts[i] … starts[i + 1]]. */
export interface Strings {
  readonly codes: Int32Array;
  readonly starts: Int32Array;
  readonly length: number;
}

/** Numbers code points consecutively, so that they can index tables. */
export class Alphabet {
  readonly #codes = new Map<number, number>();

  get size(): number {
    return this.#codes.size;
  }

  intern(strings: readonly string[]): Strings {
    const codes: number[] = [];
    const starts = new Int32Array(strings.length + 1);
    strings.forEach((string, i) => {
      for (const character of string) {
        const point = character.codePointAt(0)!;
        let code = this.#codes.get(point);
        if (code === undefined) this.#codes.set(point, (code = this.#codes.size));
        codes.push(code);
      }
      starts[i + 1] = codes.length;
    });
    return { codes: Int32Array.from(codes), starts, length: strings.length };
  }
}

/** Longest pattern whose column of the distance matrix fits a signed 32-bit word. */
const wordLength = 31;

/** Compares one pattern at a time with any number of strings over the same alphabet. */
export class Levenshtein {
  /** Per code, a bit for each position in the pattern that holds it. */
  readonly #charMasks: Int32Array;
  #pattern: Int32Array = new Int32Array(0);
  #row = new Int32Array(0);

  constructor(alphabet: Alphabet) {
    this.#charMasks = new Int32Array(alphabet.size);
  }

  setPattern(strings: Strings, index: number): void {
    for (const code of this.#pattern) this.#charMasks[code] = 0;
    this.#pattern = strings.codes.subarray(strings.starts[index], strings.starts[index + 1]);
    const length = Math.min(this.#pattern.length, wordLength);
    for (let i = 0; i < length; i++) this.#charMasks[this.#pattern[i]] |= 1 << i;
  }

  /** Distance from the pattern to a string: insertions, deletions and substitutions cost 1. */
  distance(strings: Strings, index: number): number {
    const start = strings.starts[index];
    const end = strings.starts[index + 1];
    const m = this.#pattern.length;
    if (m === 0) return end - start;
    if (m > wordLength) return this.#fillRows(strings.codes, start, end);
    return this.#updateBits(strings.codes, start, end, m);
  }

  /** Myers (1999) in Hyyrö's form: a column of vertical differences is two words of bits. */
  #updateBits(codes: Int32Array, start: number, end: number, m: number): number {
    const masks = this.#charMasks;
    const last = 1 << (m - 1);
    let [up, down, distance] = [-1, 0, m];
    for (let i = start; i < end; i++) {
      const equal = masks[codes[i]];
      const vertical = equal | down;
      const horizontal = (((equal & up) + up) ^ up) | equal;
      let plus = down | ~(horizontal | up);
      let minus = up & horizontal;
      if (plus & last) distance++;
      else if (minus & last) distance--;
      plus = (plus << 1) | 1;
      minus <<= 1;
      up = minus | ~(vertical | plus);
      down = plus & vertical;
    }
    return distance;
  }

  /** Wagner and Fischer (1974), row by row: for patterns longer than a word. */
  #fillRows(codes: Int32Array, start: number, end: number): number {
    const pattern = this.#pattern;
    if (this.#row.length <= pattern.length) this.#row = new Int32Array(pattern.length + 1);
    const row = this.#row;
    for (let j = 0; j <= pattern.length; j++) row[j] = j;
    for (let i = start; i < end; i++) {
      let diagonal = row[0]++;
      for (let j = 1; j <= pattern.length; j++) {
        const substitute = diagonal + (pattern[j - 1] === codes[i] ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substitute, row[j] + 1, row[j - 1] + 1);
      }
    }
    return row[pattern.length];
  }
}
