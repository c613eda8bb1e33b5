/** @file Who may use the server: holders of its key or, where there is none, everybody but pages of other origins. */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { RequestError } from "./errors.ts";

const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest();

/**
 * Asks for a key, except on the paths in `open`. A key may have any characters; hono/bearer-auth answers 400
 * to those that RFC 6750 does not list.
 */
export function requireKey(apiKey: string, open: ReadonlySet<string>): MiddlewareHandler {
  const key = digest(Buffer.from(apiKey));
  return async (c, next) => {
    const given = /^Bearer +(.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
    // A header's bytes come as Latin-1; curl sends what is not ASCII in UTF-8.
    const right = (["latin1", "utf8"] as const).map((encoding) =>
      timingSafeEqual(digest(Buffer.from(given, encoding)), key),
    );
    if (!open.has(c.req.path) && !right.includes(true)) {
      c.header("WWW-Authenticate", "Bearer");
      const message = "the API key is missing or wrong; send Authorization: Bearer KEY";
      throw new RequestError(401, message, null, "invalid_api_key");
    }
    await next();
  };
}

/** Whether a Host names the machine itself: an address, or a name that nobody else can register. */
function isOwnHost(host: string): boolean {
  const name = URL.parse(`http://${host}`)?.hostname;
  if (!name) return false;
  return (
    isIP(name.replace(/^\[|\]$/g, "")) > 0 || !name.includes(".") || /\.(localhost|internal)$/.test(name)
  );
}

/**
 * Refuses what a page of another origin sends: browsers send some POSTs without asking first, and only keep
 * the answer from the page. hono/csrf goes by Content-Type and refuses curl's; here Origin and Sec-Fetch-Site
 * count, which browsers set and programs leave out.
 *
 * @param allowed origins that may; "*" for all
 * @param loopback whether only this machine can reach the server: then a Host of another name is a page's that
 * had its own name resolved to this machine (DNS rebinding)
 */
export function refuseOtherOrigins(allowed: readonly string[], loopback: boolean): MiddlewareHandler {
  const allowedHosts = new Set(allowed.map((origin) => URL.parse(origin)?.host));
  return async (c, next) => {
    if (allowed.includes("*")) return next();
    const host = c.req.header("Host");
    if (loopback && host !== undefined && !isOwnHost(host) && !allowedHosts.has(host))
      throw new RequestError(
        421,
        `Host: ${host} is no name of this machine; --cors http://${host} allows it`,
        null,
        "host_not_allowed",
      );
    const origin = c.req.header("Origin");
    const site = c.req.header("Sec-Fetch-Site") ?? "none";
    const own =
      site === "same-origin" || (origin === undefined ? site === "none" : URL.parse(origin)?.host === host);
    const safe = ["GET", "HEAD", "OPTIONS"].includes(c.req.method);
    if (!safe && !own && !allowed.includes(origin ?? ""))
      throw new RequestError(
        403,
        `Origin: pages of ${origin ?? "another site"} may not use this server; --cors ORIGIN allows them`,
        null,
        "origin_not_allowed",
      );
    await next();
  };
}

/** An origin as browsers write it, "*" or "null". @throws Error, naming the option. */
export function originOf(text: string): string {
  if (text === "*" || text === "null") return text;
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/\s]+\/?$/i.test(text) || !URL.canParse(text))
    throw new Error(`--cors: expected an origin such as http://localhost:3000, or *, got ${text}`);
  const { origin } = new URL(text);
  // Of schemes such as chrome-extension: it is "null".
  return origin === "null" ? text.replace(/\/$/, "") : origin;
}

/** Whether only programs of this machine can reach an address. */
export const isLoopback = (address: string): boolean =>
  address === "localhost" || address === "::1" || address.startsWith("127.");
