/** @file Driving an engine to its end, and its events by sequence. */
import type { Engine } from "../../src/generate/engine.ts";
import type { EngineEvent, TokenGenerated } from "../../src/generate/protocol.ts";

export async function finish(engine: Engine): Promise<void> {
  while (engine.busy) await engine.step();
}

/** The events of one sequence, which has not failed. */
export const selectEvents = (events: readonly EngineEvent[], id: number) =>
  events.filter((event) => event.id === id) as TokenGenerated[];

export const selectTokens = (events: readonly EngineEvent[], id: number) =>
  events.flatMap((event) => (event.id === id && "token" in event ? [event.token] : []));
