/** @file Who may use the server: holders of its API key or, without one, everyone but pages of other origins. */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { UserError } from "../src/cli/user-error.ts";
import { RequestError } from "./errors.ts";

const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest();

/**
 * Requires the API key, except on the paths in `open`. Unlike hono/bearer-auth, whose check of the token's characters
 * cannot be turned off, it takes keys with any characters: that answers 400 to those RFC 6750 does not list.
 */
export function requireKey(apiKey: string, open: ReadonlySet<string>): MiddlewareHandler {
  const expected = digest(Buffer.from(apiKey));
  return async (c, next) => {
    const token = /^Bearer +(.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
    // Headers are decoded as Latin-1, but curl sends UTF-8. Digests have one length, which timingSafeEqual needs.
    const matches = (["latin1", "utf8"] as const).map((encoding) =>
      timingSafeEqual(digest(Buffer.from(token, encoding)), expected),
    );
    if (!open.has(c.req.path) && !matches.includes(true)) {
      c.header("WWW-Authenticate", "Bearer");
      const message = "the API key is missing or wrong; send Authorization: Bearer KEY";
      throw new RequestError(401, message, null, "invalid_api_key");
    }
    await next();
  };
}

/** Whether a Host names this machine: by address, or by a name that nobody else can register. */
function isOwnHost(host: string): boolean {
  const name = URL.parse(`http://${host}`)?.hostname;
  if (!name) return false;
  return (
    isIP(name.replace(/^\[|\]$/g, "")) > 0 || !name.includes(".") || /\.(localhost|internal)$/.test(name)
  );
}

/**
 * Rejects requests of other origins' pages: browsers send some POSTs without a preflight, and only hide the answer from
 * the page. hono/csrf goes by Content-Type and would reject curl; this goes by Origin and Sec-Fetch-Site, which browsers
 * set and other programs leave out.
 *
 * @param allowed origins that may; "*" for all
 * @param loopback whether only this machine can reach the server: a Host of another name is then DNS rebinding, a page
 * that had its own name resolved to this machine
 */
export function rejectOtherOrigins(allowed: readonly string[], loopback: boolean): MiddlewareHandler {
  const allowedHosts = new Set(allowed.map((origin) => URL.parse(origin)?.host));
  return async (c, next) => {
    if (allowed.includes("*")) return next();
    const host = c.req.header("Host");
    if (loopback && host !== undefined && !isOwnHost(host) && !allowedHosts.has(host))
      throw new RequestError(
        421,
        `Host: ${host} is not a name of this machine; --cors http://${host} allows it`,
        null,
        "host_not_allowed",
      );
    const origin = c.req.header("Origin");
    const site = c.req.header("Sec-Fetch-Site") ?? "none";
    const isOwn =
      site === "same-origin" || (origin === undefined ? site === "none" : URL.parse(origin)?.host === host);
    const isSafe = ["GET", "HEAD", "OPTIONS"].includes(c.req.method);
    if (!isSafe && !isOwn && !allowed.includes(origin ?? ""))
      throw new RequestError(
        403,
        `Origin: pages of ${origin ?? "another site"} may not use this server; --cors ORIGIN allows them`,
        null,
        "origin_not_allowed",
      );
    await next();
  };
}

/** An origin as browsers write it, "*" or "null". @throws UserError, naming the option. */
export function parseOrigin(text: string): string {
  if (text === "*" || text === "null") return text;
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/\s]+\/?$/i.test(text) || !URL.canParse(text))
    throw new UserError(`--cors: expected an origin such as http://localhost:3000, or *, got ${text}`);
  const { origin } = new URL(text);
  // URL gives "null" for schemes such as chrome-extension.
  return origin === "null" ? text.replace(/\/$/, "") : origin;
}

/** Whether only programs of this machine can reach an address. */
export const isLoopback = (address: string): boolean =>
  address === "localhost" || address === "::1" || address.startsWith("127.");
