/** @file The totals of a run, an earlier part of it included: for its log, its checkpoints and its summary. */
import type { StageStatistics } from "../../src/flow/stages.ts";
import type { Step } from "../stages/train.ts";
import type { RunState } from "./checkpoint.ts";
import type { Progress } from "./run-log.ts";
import { SkippedRows } from "./skipped-rows.ts";
import { TeacherStatistics } from "./statistics.ts";
import { type Summary, peakRss } from "./summary.ts";

type StageTable = Readonly<Record<string, StageStatistics>>;

export class RunTotals {
  readonly teachers: TeacherStatistics;
  readonly skipped: SkippedRows;
  readonly #earlier: { readonly steps: number; readonly tokens: number; readonly seconds: number };
  readonly #started = performance.now();
  #last: Step | undefined;
  #tokens: number;
  /** As of the last step: blocks of the next one may have been counted since. */
  #teacherTotals;

  /** The clock starts now. @param state of the checkpoint that the run resumes from. */
  constructor(teacherNames: readonly string[], state?: RunState) {
    this.teachers = new TeacherStatistics(teacherNames, state?.teachers);
    this.skipped = new SkippedRows(state?.skipped);
    const { tokens = 0, seconds = 0, resume } = state ?? {};
    this.#earlier = { steps: resume?.steps ?? 0, tokens, seconds };
    this.#tokens = tokens;
    this.#teacherTotals = this.teachers.totals;
  }

  /** Steps that are done. */
  get steps(): number {
    return this.#last?.step ?? this.#earlier.steps;
  }

  /** Seconds since the clock started. */
  get #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  get #tokensPerSecond(): number {
    return (this.#tokens - this.#earlier.tokens) / this.#seconds;
  }

  /** @param steps of the whole run. */
  add(step: Step, steps: number, stages: StageTable): Progress {
    this.#last = step;
    this.#teacherTotals = this.teachers.totals;
    this.#tokens += step.tokens;
    const secondsPerStep = this.#seconds / (step.step - this.#earlier.steps);
    return {
      ...step,
      steps,
      totalTokens: this.#tokens,
      tokensPerSecond: this.#tokensPerSecond,
      eta: secondsPerStep * (steps - step.step),
      stages,
      fusion: this.teachers.summary(),
    };
  }

  /** What a checkpoint keeps; there must have been a step. */
  state(): Omit<RunState, "inputs" | "baseline"> {
    const { next } = this.#last!;
    return {
      resume: next,
      tokens: this.#tokens,
      seconds: this.#earlier.seconds + this.#seconds,
      teachers: this.#teacherTotals,
      skipped: this.skipped.settle(next.cursor),
    };
  }

  summary(rest: Pick<Summary, "stages" | "bitsPerByte" | "devices" | "notes" | "finished">): Summary {
    return {
      steps: this.steps,
      tokens: this.#tokens,
      seconds: this.#earlier.seconds + this.#seconds,
      tokensPerSecond: this.#tokensPerSecond,
      stages: rest.stages,
      bitsPerByte: rest.bitsPerByte,
      fusion: this.teachers.summary(),
      fusionByDomain: this.teachers.byDomain(),
      devices: rest.devices,
      skippedRows: this.skipped.all.rows,
      skippedReasons: this.skipped.all.reasons,
      peakRssBytes: peakRss(),
      notes: rest.notes,
      finished: rest.finished,
    };
  }
}
