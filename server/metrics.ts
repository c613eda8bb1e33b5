/** @file What GET /metrics reports to Prometheus: the process's own metrics by prom-client, and the server's. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { ModelService } from "./model-service.ts";

export type Metrics = ReturnType<typeof createMetrics>;

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What the engine counts, 0 while the model is loading. */
function registerEngine(registers: Registry[], getModel: () => ModelService | undefined): void {
  const statistics = () => getModel()?.engine.statistics;
  const waiting = () => Math.max(0, (getModel()?.capacity.inFlight ?? 0) - (statistics()?.active ?? 0));
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    new Gauge({
      name: `tributary_${name}`,
      help,
      registers,
      collect() {
        this.set(read() ?? 0);
      },
    });
  const counter = (name: string, help: string, read: () => number | undefined) =>
    new Counter({
      name: `tributary_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read() ?? 0);
      },
    });
  gauge("slots", "texts that can be generated at a time", () => statistics()?.slots);
  gauge("slots_active", "texts being generated", () => statistics()?.active);
  gauge("queue", "texts waiting for a slot", waiting);
  gauge("cache_bytes", "memory of the KV cache", () => statistics()?.cacheBytes);
  counter("prompt_tokens", "prompt tokens", () => statistics()?.promptTokens);
  counter("cached_prompt_tokens", "prompt tokens found in the KV cache", () => statistics()?.cachedTokens);
  counter("generated_tokens", "generated tokens", () => statistics()?.generatedTokens);
}

/** @param getModel undefined while the model is loading */
export function createMetrics(getModel: () => ModelService | undefined) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  registerEngine(registers, getModel);
  const histogram = (name: string, help: string) =>
    new Histogram({ name: `tributary_${name}_seconds`, help, buckets: seconds, registers });
  return {
    registry,
    requests: new Counter({
      name: "tributary_requests_total",
      help: "requests by route and status",
      labelNames: ["route", "status"],
      registers,
    }),
    firstToken: histogram("time_to_first_token", "time from a request to its first token"),
    betweenTokens: histogram("time_between_tokens", "time from one token to the next"),
  };
}
