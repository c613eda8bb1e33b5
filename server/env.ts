/** @file What a request carries through the handlers. */
import type { RequestIdVariables } from "hono/request-id";
import type { ModelService } from "./model-service.ts";

export interface Env {
  Variables: RequestIdVariables & {
    /** Set on routes that need a model. */
    model: ModelService;
  };
}
