/** The page in a real browser, where there is one: Debian's Chromium, without a screen. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, type Page, chromium } from "playwright-core";
import { type Serving, serving } from "./serving.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);
if (!executablePath) console.log("the page: skipped, there is no Chromium");

describe.skipIf(!executablePath)("the page", () => {
  let server: Serving;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];
  beforeAll(async () => {
    server = await serving();
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ["--no-sandbox"],
      headless: true,
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on("pageerror", ({ message }) => errors.push(message));
    page.on("requestfailed", (request) => errors.push(request.url()));
    await page.goto(server.url);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server[Symbol.asyncDispose]();
  });

  const generated = () => page.locator("#text .token").allInnerTexts();
  const finished = () => page.locator("#go:not([disabled])").waitFor();

  test("names the model, takes a prompt and streams a text, token by token", async () => {
    await page.locator("#model", { hasText: "pocket-llama" }).waitFor();
    await page.fill("#prompt", "And God said");
    await page.fill('[name="temperature"]', "0");
    await page.fill('[name="max_tokens"]', "24");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector("#text .token");
    await finished();
    expect((await generated()).length).toBeGreaterThan(10);
    expect(await page.innerText("#text")).toStartWith("And God said, I am");
    expect(await page.innerText("#rate")).toMatch(/^24 tokens, \d+ a second$/);
  });

  test("shows the candidates of a token, by pointer and by keyboard", async () => {
    await page.hover("#text .token >> nth=2");
    expect(await page.innerText("#candidates")).toMatch(/^\S+ \d+\.\d %( +\S+ \d+\.\d %){4}$/);
    const before = await page.innerText("#candidates");
    await page.focus("#text .token >> nth=5");
    expect(await page.innerText("#candidates")).not.toBe(before);
  });

  test("a changed control changes what is asked for", async () => {
    await page.fill('[name="max_tokens"]', "3");
    const asked = page.waitForRequest(/completions/);
    await page.click("#go");
    expect((await asked).postDataJSON()).toMatchObject({
      prompt: "And God said",
      max_tokens: 3,
      temperature: 0,
    });
    await finished();
    expect(await page.innerText("#rate")).toMatch(/^3 tokens/);
  });

  test("says what is wrong with a prompt that is too long", async () => {
    await page.fill("#prompt", "whale ".repeat(2000));
    await page.click("#go");
    await page.locator("#error:not(:empty)").waitFor();
    expect(await page.innerText("#error")).toMatch(/^prompt: \d+ tokens; this model's context has 512/);
    await finished();
  });

  test("fits a phone, light and dark, and asks nobody else", async () => {
    for (const colorScheme of ["light", "dark"] as const)
      for (const width of [360, 1280]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        const wide = await page.evaluate("document.documentElement.scrollWidth");
        expect(wide).toBeLessThanOrEqual(width);
        if (process.env.SCREENSHOTS)
          await page.screenshot({ path: `${process.env.SCREENSHOTS}/page-${colorScheme}-${width}.png` });
      }
    expect(errors).toEqual([]);
  });
});
