/** @file What came of each teacher, and of the data. */
import type { Fused } from "./records.ts";

export interface TeacherSummary {
  /** Shares of the positions that have a next token: won, aligned, and spelled by the chain rule. */
  readonly won: number;
  readonly aligned: number;
  readonly spelled: number;
  /** Mean probability per aligned position of kept candidates without a place, and outside of them. */
  readonly dropped: number;
  readonly tail: number;
  /** Mean −log p of the text, in nats per byte. */
  readonly nllPerByte: number;
}

export interface FusionSummary {
  /** Share of the positions at which all teachers were silent. */
  readonly withoutTeacher: number;
  readonly teachers: Readonly<Record<string, TeacherSummary>>;
}

const reasonsKept = 5;

const fields = ["won", "aligned", "spelled", "dropped", "tail", "nats", "bytes"] as const;
type Sums = Record<(typeof fields)[number], number>;

interface Counts {
  positions: number;
  alone: number;
  readonly teachers: Sums[];
}

export class TeacherStatistics {
  readonly #names: readonly string[];
  readonly #domains = new Map<string, Counts>();
  #skipped = 0;
  readonly #reasons: string[] = [];

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  #empty(): Counts {
    const teachers = this.#names.map(() => Object.fromEntries(fields.map((field) => [field, 0])) as Sums);
    return { positions: 0, alone: 0, teachers };
  }

  add = ({ block: { domain }, ids, won, alone, teachings }: Fused): void => {
    const counts = this.#domains.get(domain) ?? this.#empty();
    this.#domains.set(domain, counts);
    counts.positions += Math.max(0, ids.length - 1);
    counts.alone += alone;
    teachings.forEach(({ aligned, spelled, dropped, tail, nllPerByte, bytes }, i) => {
      const sums = counts.teachers[i];
      sums.won += won[i];
      sums.aligned += aligned;
      sums.spelled += spelled;
      sums.dropped += dropped;
      sums.tail += tail;
      sums.nats += nllPerByte * bytes;
      sums.bytes += bytes;
    });
  };

  /** Counts a row or file that was left out, and keeps the first few reasons. */
  skipped = (reason: string): void => {
    this.#skipped++;
    if (this.#reasons.length < reasonsKept) this.#reasons.push(reason);
  };

  get skippedReasons(): readonly string[] {
    return this.#reasons;
  }

  get skippedRows(): number {
    return this.#skipped;
  }

  #summarize(all: readonly Counts[]): FusionSummary {
    const ratio = (value: number, of: number) => (of > 0 ? value / of : 0);
    const total = (value: (counts: Counts) => number) => all.reduce((sum, counts) => sum + value(counts), 0);
    const positions = total((counts) => counts.positions);
    const teachers = this.#names.map((name, i): [string, TeacherSummary] => {
      const sum = (field: keyof Sums) => total((counts) => counts.teachers[i][field]);
      const aligned = sum("aligned");
      return [
        name,
        {
          won: ratio(sum("won"), positions),
          aligned: ratio(aligned, positions),
          spelled: ratio(sum("spelled"), positions),
          dropped: ratio(sum("dropped"), aligned),
          tail: ratio(sum("tail"), aligned),
          nllPerByte: ratio(sum("nats"), sum("bytes")),
        },
      ];
    });
    const withoutTeacher = ratio(
      total((counts) => counts.alone),
      positions,
    );
    return { withoutTeacher, teachers: Object.fromEntries(teachers) };
  }

  summary(): FusionSummary {
    return this.#summarize([...this.#domains.values()]);
  }

  /** The same for each domain of the data. */
  byDomain(): Record<string, FusionSummary> {
    return Object.fromEntries(
      Array.from(this.#domains, ([domain, counts]) => [domain, this.#summarize([counts])]),
    );
  }
}
