/** @file The outcome of a run: summary.json. */
import { join } from "node:path";
import { writeDurably } from "../../src/files/durable.ts";
import type { StageStatistics } from "../../src/flow/stages.ts";
import type { Config } from "../config/config.ts";
import type { FusionSummary } from "./statistics.ts";

/** Bits per byte per domain. */
export type Bits = Readonly<Record<string, number>>;

export const formatBits = (bits: Bits): string =>
  Object.entries(bits)
    .map(([domain, value]) => `${domain} ${value.toFixed(4)}`)
    .join(", ");

export interface Summary {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  /** Before the first step and after the last one; empty if not measured. */
  readonly bitsPerByte: { readonly start: Bits; readonly end: Bits };
  readonly fusion: FusionSummary;
  readonly fusionByDomain: Readonly<Record<string, FusionSummary>>;
  readonly devices: Readonly<Record<string, string>>;
  readonly skippedRows: number;
  /** The first few. */
  readonly skippedReasons: readonly string[];
  readonly peakRssBytes: number;
  /** What else the user should know, a sentence each. */
  readonly notes: readonly string[];
  /** Whether the run came to its end: all steps done, or the data exhausted. */
  readonly finished: boolean;
}

/** The folders of a run that hold its result. */
export function listResults({ train, save }: Pick<Config, "train" | "save">): ("adapter" | "model")[] {
  if (train.method.kind === "full") return ["model"];
  return save.merge ? ["adapter", "model"] : ["adapter"];
}

/** Peak resident memory of the process: Linux and Windows count kilobytes, macOS bytes. */
export const peakRss = () => process.resourceUsage().maxRSS * (process.platform === "darwin" ? 1 : 1024);

export const writeSummary = (out: string, summary: Summary): Promise<void> =>
  writeDurably(join(out, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
