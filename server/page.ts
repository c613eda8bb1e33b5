/** @file The page to try a model: plain files for any browser, and nothing from other servers. */
import { readFileSync } from "node:fs";
import { Hono } from "hono";

const types = {
  "index.html": "text/html",
  "page.css": "text/css",
  "page.js": "text/javascript",
  "api.js": "text/javascript",
  "entry.js": "text/javascript",
  "tokens.js": "text/javascript",
} as const;

const toPath = (name: string) => (name === "index.html" ? "/" : `/page/${name}`);

/** Open without a key: the page asks for it. */
export const pagePaths: readonly string[] = Object.keys(types).map(toPath);

const policy =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function pageRoutes(): Hono {
  const app = new Hono();
  for (const [name, type] of Object.entries(types)) {
    const text = readFileSync(new URL(`./page/${name}`, import.meta.url), "utf8");
    app.get(toPath(name), (c) => {
      c.header("Content-Type", `${type}; charset=utf-8`);
      c.header("Content-Security-Policy", policy);
      c.header("Cache-Control", "no-cache");
      return c.body(text);
    });
  }
  return app;
}
