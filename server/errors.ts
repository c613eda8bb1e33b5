/** @file Errors in OpenAI's shape. */
import type { z } from "zod";

export type Status = 400 | 401 | 404 | 405 | 408 | 413 | 415 | 429 | 500 | 503;

const types: Readonly<Record<Status, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  404: "not_found_error",
  405: "invalid_request_error",
  408: "timeout_error",
  413: "invalid_request_error",
  415: "invalid_request_error",
  429: "rate_limit_error",
  500: "server_error",
  503: "unavailable_error",
};

/** What is wrong with a request. */
export class RequestError extends Error {
  readonly status: Status;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: Status, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }

  body() {
    const { message, status, param, code } = this;
    return { error: { message, type: types[status], param, code } };
  }
}

/** The first thing that a schema finds, by the name of the field. */
export function invalid(error: z.ZodError): RequestError {
  const [issue] = error.issues;
  if (issue.code === "unrecognized_keys") {
    const name = [...issue.path, issue.keys[0]].join(".");
    return new RequestError(400, `${name}: this field is not supported`, name, "unsupported_field");
  }
  const name = issue.path.join(".");
  return new RequestError(400, `${name || "body"}: ${issue.message}`, name || null, "invalid_value");
}
