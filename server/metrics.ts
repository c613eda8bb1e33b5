/** @file What GET /metrics tells, for Prometheus. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EngineStatistics } from "../src/generate/protocol.ts";

export type Metrics = ReturnType<typeof createMetrics>;

/** @param statistics of the engine, as of now; undefined while the model is loaded */
export function createMetrics(statistics: () => EngineStatistics | undefined, waiting: () => number) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name: `tributary_${name}`,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  /** Counted by the engine. */
  const total = (name: string, help: string, value: () => number) =>
    new Counter({
      name: `tributary_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  gauge("slots", "texts that can be generated at a time", () => statistics()?.slots ?? 0);
  gauge("slots_active", "texts that are being generated", () => statistics()?.active ?? 0);
  gauge("queue", "texts that wait for a slot", waiting);
  gauge("cache_bytes", "memory of the cache of keys and values", () => statistics()?.cacheBytes ?? 0);
  gauge("resident_bytes", "memory of the process", () => process.memoryUsage.rss());
  total("prompt_tokens", "tokens of prompts", () => statistics()?.promptTokens ?? 0);
  total(
    "cached_prompt_tokens",
    "tokens of prompts that were found in the cache",
    () => statistics()?.cachedTokens ?? 0,
  );
  total("generated_tokens", "tokens that were generated", () => statistics()?.generatedTokens ?? 0);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  gauge(
    "event_loop_delay_p99_seconds",
    "how late this thread answers, since the last time it was asked",
    () => {
      const late = delay.percentile(99) / 1e9;
      delay.reset();
      return late;
    },
  );
  const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
  return {
    registry,
    requests: new Counter({
      name: "tributary_requests_total",
      help: "requests by route and status",
      labelNames: ["route", "status"],
      registers,
    }),
    firstToken: new Histogram({
      name: "tributary_time_to_first_token_seconds",
      help: "from the request to its first token",
      buckets: seconds,
      registers,
    }),
    betweenTokens: new Histogram({
      name: "tributary_time_between_tokens_seconds",
      help: "from a token to the next",
      buckets: seconds,
      registers,
    }),
  };
}
