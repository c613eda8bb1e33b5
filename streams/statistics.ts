/** @file What came of each teacher, and of the data. */
import type { Fused } from "./records.ts";

export interface TeacherSummary {
  /** Shares of the positions that have a next token. */
  readonly won: number;
  readonly aligned: number;
  /** Mean probability per aligned position that the kept candidates, as target tokens, do not hold. */
  readonly dropped: number;
  /** Mean −log p of the text. */
  readonly nllPerByte: number;
}

export class TeacherStatistics {
  readonly #names: readonly string[];
  readonly #sums: { won: number; aligned: number; dropped: number; nll: number }[];
  #positions = 0;
  #blocks = 0;
  #skipped = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#sums = names.map(() => ({ won: 0, aligned: 0, dropped: 0, nll: 0 }));
  }

  add = ({ ids, won, teachings }: Fused): void => {
    this.#positions += ids.length - 1;
    this.#blocks++;
    teachings.forEach(({ aligned, dropped, nllPerByte }, i) => {
      const sums = this.#sums[i];
      sums.won += won[i];
      sums.aligned += aligned;
      sums.dropped += dropped;
      sums.nll += nllPerByte;
    });
  };

  /** Counts a row or file that was left out. */
  skipped = (): void => {
    this.#skipped++;
  };

  get skippedRows(): number {
    return this.#skipped;
  }

  summary(): Record<string, TeacherSummary> {
    const ratio = (value: number, of: number) => (of > 0 ? value / of : 0);
    return Object.fromEntries(
      this.#sums.map(({ won, aligned, dropped, nll }, i) => [
        this.#names[i],
        {
          won: ratio(won, this.#positions),
          aligned: ratio(aligned, this.#positions),
          dropped: ratio(dropped, aligned),
          nllPerByte: ratio(nll, this.#blocks),
        },
      ]),
    );
  }
}
