/** @file What each teacher contributed, over all blocks of a run. */
import type { BlockStatistics, TeacherBlockStatistics } from "../records.ts";

/** null if there was nothing to measure it on. */
type Measured = number | null;

export interface TeacherSummary {
  /**
   * Fractions of the positions that have a next token: its mean part in the fused distribution, those it aligns with,
   * and those where the next token takes several of its own, by the chain rule.
   */
  readonly won: Measured;
  readonly aligned: Measured;
  readonly spelled: Measured;
  /** Mean probability per aligned position: of candidates that match no target token, and outside the candidates. */
  readonly dropped: Measured;
  readonly tail: Measured;
  /** Mean −log p of the text that it predicts, in nats per byte. */
  readonly nllPerByte: Measured;
}

export interface FusionSummary {
  /** Fraction of the positions without any teacher's prediction. */
  readonly withoutTeacher: Measured;
  readonly teachers: Readonly<Record<string, TeacherSummary>>;
}

/** Sums per domain of the data, which a checkpoint keeps. */
export type TeacherTotals = readonly BlockStatistics[];

const addTeachers = (a: TeacherBlockStatistics, b: TeacherBlockStatistics): TeacherBlockStatistics => ({
  credit: a.credit + b.credit,
  aligned: a.aligned + b.aligned,
  multiToken: a.multiToken + b.multiToken,
  dropped: a.dropped + b.dropped,
  tail: a.tail + b.tail,
  nats: a.nats + b.nats,
  bytes: a.bytes + b.bytes,
});

export class TeacherStatistics {
  readonly #names: readonly string[];
  readonly #domains: Map<string, BlockStatistics>;

  /** @param earlier totals of the steps before, if the run resumes. */
  constructor(names: readonly string[], earlier: TeacherTotals = []) {
    this.#names = names;
    this.#domains = new Map(earlier.map((sums) => [sums.domain, sums]));
  }

  add = (block: BlockStatistics): void => {
    const { domain } = block;
    const before = this.#domains.get(domain);
    this.#domains.set(
      domain,
      before
        ? {
            domain,
            positions: before.positions + block.positions,
            unaligned: before.unaligned + block.unaligned,
            teachers: before.teachers.map((teacher, i) => addTeachers(teacher, block.teachers[i])),
          }
        : block,
    );
  };

  get totals(): TeacherTotals {
    return [...this.#domains.values()];
  }

  #summarize(all: readonly BlockStatistics[]): FusionSummary {
    const ratio = (value: number, of: number): Measured => (of > 0 ? value / of : null);
    const total = (value: (sums: BlockStatistics) => number) =>
      all.reduce((sum, sums) => sum + value(sums), 0);
    const positions = total(({ positions }) => positions);
    const teachers = this.#names.map((name, i): [string, TeacherSummary] => {
      const sum = (field: keyof TeacherBlockStatistics) => total(({ teachers }) => teachers[i][field]);
      const aligned = sum("aligned");
      return [
        name,
        {
          won: ratio(sum("credit"), positions),
          aligned: ratio(aligned, positions),
          spelled: ratio(sum("multiToken"), positions),
          dropped: ratio(sum("dropped"), aligned),
          tail: ratio(sum("tail"), aligned),
          nllPerByte: ratio(sum("nats"), sum("bytes")),
        },
      ];
    });
    const withoutTeacher = ratio(
      total(({ unaligned }) => unaligned),
      positions,
    );
    return { withoutTeacher, teachers: Object.fromEntries(teachers) };
  }

  summary(): FusionSummary {
    return this.#summarize([...this.#domains.values()]);
  }

  /** The same per domain of the data. */
  byDomain(): Record<string, FusionSummary> {
    return Object.fromEntries(
      Array.from(this.#domains, ([domain, sums]) => [domain, this.#summarize([sums])]),
    );
  }
}
