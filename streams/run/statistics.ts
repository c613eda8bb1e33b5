/** @file What came of each teacher. */
import type { BlockStatistics, TeacherBlockStatistics } from "../records.ts";

/** null where there was nothing to measure it on. */
type Measured = number | null;

export interface TeacherSummary {
  /** Shares of the positions that have a next token: won, aligned, and spelled by the chain rule. */
  readonly won: Measured;
  readonly aligned: Measured;
  readonly spelled: Measured;
  /** Mean probability per aligned position of kept candidates without a place, and outside of them. */
  readonly dropped: Measured;
  readonly tail: Measured;
  /** Mean −log p of the text that it predicts, in nats per byte. */
  readonly nllPerByte: Measured;
}

export interface FusionSummary {
  /** Share of the positions at which all teachers were silent. */
  readonly withoutTeacher: Measured;
  readonly teachers: Readonly<Record<string, TeacherSummary>>;
}

/** What was heard so far in each domain of the data: a checkpoint keeps it. */
export type TeacherTotals = readonly BlockStatistics[];

const added = (a: TeacherBlockStatistics, b: TeacherBlockStatistics): TeacherBlockStatistics => ({
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

  /** @param earlier what the steps before had come to, where a run goes on. */
  constructor(names: readonly string[], earlier: TeacherTotals = []) {
    this.#names = names;
    this.#domains = new Map(earlier.map((heard) => [heard.domain, heard]));
  }

  add = (heard: BlockStatistics): void => {
    const { domain } = heard;
    const before = this.#domains.get(domain);
    this.#domains.set(
      domain,
      before
        ? {
            domain,
            positions: before.positions + heard.positions,
            unaligned: before.unaligned + heard.unaligned,
            teachers: before.teachers.map((teacher, i) => added(teacher, heard.teachers[i])),
          }
        : heard,
    );
  };

  get soFar(): TeacherTotals {
    return [...this.#domains.values()];
  }

  #summarize(all: readonly BlockStatistics[]): FusionSummary {
    const ratio = (value: number, of: number): Measured => (of > 0 ? value / of : null);
    const total = (value: (heard: BlockStatistics) => number) =>
      all.reduce((sum, heard) => sum + value(heard), 0);
    const positions = total((heard) => heard.positions);
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
      total((heard) => heard.unaligned),
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
      Array.from(this.#domains, ([domain, heard]) => [domain, this.#summarize([heard])]),
    );
  }
}
