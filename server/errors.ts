/** @file Errors in OpenAI's shape. */
import type { z } from "zod";
import { unsupported } from "./field.ts";

export type Status = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 421 | 429 | 500 | 503;

const types: Readonly<Record<Status, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  408: "timeout_error",
  413: "invalid_request_error",
  415: "invalid_request_error",
  421: "invalid_request_error",
  429: "rate_limit_error",
  500: "server_error",
  503: "unavailable_error",
};

/** A request that cannot be answered, and why. */
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

/** What the client learns: everything about its own mistakes, only the request's id in the log about the server's. */
export function toRequestError(error: unknown, requestId: string): RequestError {
  if (error instanceof RequestError) return error;
  console.error(`request ${requestId}:`, error);
  return new RequestError(500, `internal error; see request ${requestId} in the server's log`);
}

/** The issue of the union member that a value comes closest to. */
function findClosest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors.flat().filter(({ path }) => path.length > 0);
  if (inner.length === 0) return issue;
  const deepest = inner.reduce((best, other) => (other.path.length > best.path.length ? other : best));
  return findClosest({ ...deepest, path: [...issue.path, ...deepest.path] });
}

/** The first mistake that a schema finds in a body, by the name of its field. */
export function toFieldError({ issues }: z.core.$ZodError): RequestError {
  const issue = findClosest(issues[0]);
  if (issue.code === "unrecognized_keys") {
    const name = [...issue.path, issue.keys[0]].join(".");
    return new RequestError(400, `${name}: this field is not supported`, name, "unsupported_field");
  }
  const name = issue.path.join(".");
  const code = issue.code === "custom" && issue.params?.[unsupported] ? "unsupported_field" : "invalid_value";
  return new RequestError(400, `${name || "body"}: ${issue.message}`, name || null, code);
}
