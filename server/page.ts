/** @file The page to try a model on: files that any browser reads as they are, and nothing from anywhere else. */
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

const pathOf = (name: string) => (name === "index.html" ? "/" : `/page/${name}`);

/** It asks for a key itself, where there is one. */
export const pagePaths: readonly string[] = Object.keys(types).map(pathOf);

const policy =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function pageRoutes(): Hono {
  const app = new Hono();
  for (const [name, type] of Object.entries(types)) {
    const text = readFileSync(new URL(`./page/${name}`, import.meta.url), "utf8");
    app.get(pathOf(name), (c) => {
      c.header("Content-Type", `${type}; charset=utf-8`);
      c.header("Content-Security-Policy", policy);
      c.header("Cache-Control", "no-cache");
      return c.body(text);
    });
  }
  return app;
}
