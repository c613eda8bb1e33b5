/** @file What a run came to: summary.json. */
import { join } from "node:path";
import { writeDurably } from "../../src/files/durable.ts";
import type { StageStatistics } from "../../src/flow/stages.ts";
import type { FusionSummary } from "./statistics.ts";

/** Bits per byte per domain. */
export type Bits = Readonly<Record<string, number>>;

export interface Summary {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  /** Before the first step and after the last one; empty where it was not measured. */
  readonly bitsPerByte: { readonly start: Bits; readonly end: Bits };
  readonly fusion: FusionSummary;
  readonly fusionByDomain: Readonly<Record<string, FusionSummary>>;
  readonly devices: Readonly<Record<string, string>>;
  readonly skippedRows: number;
  /** Why, for the first few. */
  readonly skippedReasons: readonly string[];
  readonly peakRssBytes: number;
  /** What else is to be known, a sentence each. */
  readonly notes: readonly string[];
  /** Whether all steps were done, or the data ended before. */
  readonly finished: boolean;
}

/** Peak resident memory of the process: Linux and Windows count kilobytes, macOS bytes. */
export const peakRss = () => process.resourceUsage().maxRSS * (process.platform === "darwin" ? 1 : 1024);

export const writeSummary = (out: string, summary: Summary): Promise<void> =>
  writeDurably(join(out, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
