/** @file Levenshtein distances from one string to many, at typed-array speed. */

/** Strings as code points in one array: string i is codes[starts[i] … starts[i + 1]]. */
export interface Strings {
  readonly codes: Int32Array;
  readonly starts: Int32Array;
  readonly length: number;
}

/** Code points as small consecutive numbers, so that tables can be indexed by them. */
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

/** Compares one pattern after another with any number of texts over the same alphabet. */
export class Levenshtein {
  /** Per code, a bit for each place in the pattern where it stands. */
  readonly #places: Int32Array;
  #pattern: Int32Array = new Int32Array(0);
  #row = new Int32Array(0);

  constructor(alphabet: Alphabet) {
    this.#places = new Int32Array(alphabet.size);
  }

  setPattern(strings: Strings, index: number): void {
    for (const code of this.#pattern) this.#places[code] = 0;
    this.#pattern = strings.codes.subarray(strings.starts[index], strings.starts[index + 1]);
    const marked = Math.min(this.#pattern.length, wordLength);
    for (let i = 0; i < marked; i++) this.#places[this.#pattern[i]] |= 1 << i;
  }

  /** Distance from the pattern to a string: insertions, deletions and substitutions cost 1. */
  distance(strings: Strings, index: number): number {
    const start = strings.starts[index];
    const end = strings.starts[index + 1];
    const m = this.#pattern.length;
    if (m === 0) return end - start;
    if (m > wordLength) return this.#byRows(strings.codes, start, end);
    return this.#byWords(strings.codes, start, end, m);
  }

  /** Myers (1999), in Hyyrö's form: a column of vertical differences is two words of bits. */
  #byWords(codes: Int32Array, start: number, end: number, m: number): number {
    const places = this.#places;
    const last = 1 << (m - 1);
    let [up, down, distance] = [-1, 0, m];
    for (let i = start; i < end; i++) {
      const equal = places[codes[i]];
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

  #byRows(codes: Int32Array, start: number, end: number): number {
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
