/** The page in a real browser if there is one: Debian's Chromium, headless. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, type Page, chromium } from "playwright-core";
import { type Serving, createVariant, serving } from "./serving.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);
if (!executablePath) console.log("the page: skipped, Chromium is not installed");

/** A page once it is loaded, and its errors. */
async function open(browser: Browser, url: string, options: BrowserContextOptions = {}, platform?: string) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  if (platform)
    await context.addInitScript(
      `Object.defineProperty(navigator, "userAgentData", { value: { platform: "${platform}" } })`,
    );
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", ({ message }) => errors.push(message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on(
    "request",
    (request) =>
      request.url().startsWith(url) || request.url().startsWith("data:") || errors.push(request.url()),
  );
  await page.goto(url);
  return { page, errors, finished: () => page.locator("#go:not([disabled])").waitFor() };
}

describe.skipIf(!executablePath)("the page", () => {
  let server: Serving;
  let browser: Browser;
  let page: Page;
  let errors: string[];
  let finished: () => Promise<void>;
  beforeAll(async () => {
    server = await serving();
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ["--no-sandbox"],
      headless: true,
    });
    ({ page, errors, finished } = await open(browser, server.url));
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server[Symbol.asyncDispose]();
  });

  const tokens = () => page.locator("#text .token").allInnerTexts();
  const status = () => page.innerText("#text .status");

  test("shows the model's name, streams a text token by token, and shows why it ended", async () => {
    await page.locator("#model", { hasText: "pocket-llama" }).waitFor();
    await page.fill("#prompt", "And God said");
    await page.fill('[name="temperature"]', "0");
    await page.fill('[name="max_tokens"]', "24");
    await page.keyboard.press("Control+Enter");
    await finished();
    expect((await tokens()).length).toBeGreaterThan(10);
    expect(await page.innerText("#text .body")).toStartWith("And God said, I am");
    expect(await status()).toMatch(/^24 tokens, \d+ per second; stopped at the token limit$/);
  });

  test("shows the candidates of a token as a table with the chosen one marked, by pointer and by keyboard", async () => {
    await page.hover("#text .token >> nth=2");
    const rows = () => page.locator("#candidates tr").allInnerTexts();
    const before = await rows();
    expect(before.length).toBeGreaterThanOrEqual(5);
    for (const row of before) expect(row).toMatch(/^\S+( ✓ chosen)?\s+\d+\.\d %\s*$/);
    const chosen = await page.innerText("#candidates .chosen th");
    expect(chosen.replaceAll("·", " ")).toBe(`${(await tokens())[2]} ✓ chosen`);
    // One tab stop for all tokens; arrow keys move between them.
    expect(await page.locator('#text [tabindex="0"]').count()).toBe(1);
    await page.focus("#text .token >> nth=0");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const focused = () =>
      page.evaluate("[...document.activeElement.parentElement.children].indexOf(document.activeElement)");
    expect(await focused()).toBe(3);
    expect(await rows()).not.toEqual(before);
    await page.keyboard.press("End");
    expect(await focused()).toBe((await tokens()).length - 1);
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Copy");
    expect(await page.locator('#text [tabindex="0"]').count()).toBe(1);
  });

  test("copies the generated text", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
    await page.click("#text footer button");
    await page.locator("#text footer button", { hasText: "Copied" }).waitFor();
    const copied = await page.evaluate("navigator.clipboard.readText()");
    expect(copied).toBe((await page.locator("#text .token").allTextContents()).join(""));
  });

  test("a changed setting changes the request; an empty one is left out", async () => {
    await page.fill('[name="max_tokens"]', "3");
    await page.fill('[name="temperature"]', "");
    const asked = page.waitForRequest(/completions/);
    await page.click("#go");
    const body = (await asked).postDataJSON();
    expect(body).toMatchObject({ prompt: "And God said", max_tokens: 3 });
    expect(body).not.toHaveProperty("temperature");
    await finished();
    expect(await status()).toMatch(/^3 tokens/);
  });

  test("shows that a text was stopped", async () => {
    await page.fill('[name="max_tokens"]', "400");
    await page.click("#go");
    await page.locator("#text .token").first().waitFor();
    await page.keyboard.press("Escape");
    await finished();
    expect(await status()).toMatch(/; (stopped|ended by the model)$/);
    await page.fill('[name="max_tokens"]', "3");
  });

  test("explains that a prompt is too long", async () => {
    expect(errors.splice(0)).toEqual([]);
    await page.fill("#prompt", "whale ".repeat(2000));
    await page.click("#go");
    await page.locator("#error:not(:empty)").waitFor();
    expect(await page.innerText("#error")).toMatch(/^prompt: \d+ tokens; this model's context has 512/);
    await finished();
    expect(await status()).toEndWith("failed");
    // Chromium itself logs the 400.
    errors.length = 0;
  });

  test("fits phones and desktops, light and dark, and loads nothing from elsewhere", async () => {
    for (const colorScheme of ["light", "dark"] as const)
      for (const width of [360, 1280]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        const wide = await page.evaluate("document.documentElement.scrollWidth");
        expect(wide).toBeLessThanOrEqual(width);
        const [text, settings] = [
          await page.locator("#work").boundingBox(),
          await page.locator("#settings").boundingBox(),
        ];
        expect(settings!.x > text!.x + text!.width).toBe(width > 1000);
        if (process.env.SCREENSHOTS)
          await page.screenshot({ path: `${process.env.SCREENSHOTS}/page-${colorScheme}-${width}.png` });
      }
    expect(errors).toEqual([]);
  });

  test("shows the platform's shortcuts, and none without a keyboard", async () => {
    const hint = async (options: BrowserContextOptions, platform: string) => {
      const { page: other } = await open(browser, server.url, options, platform);
      const text = await other.innerText("#form .row");
      await other.context().close();
      return text.replaceAll(/\s+/g, " ").trim();
    };
    expect(await hint({}, "macOS")).toBe("Generate ⌘ Enter Stop Esc");
    expect(await hint({}, "Windows")).toBe("Generate Ctrl + Enter Stop Esc");
    expect(await hint({ hasTouch: true, isMobile: true }, "Android")).toBe("Generate Stop");
  });

  test("asks for the API key, then shows the model and generates", async () => {
    await using locked = await serving({ slots: 1 }, { apiKey: "secret" });
    const { page: own, finished: done } = await open(browser, locked.url);
    await own.locator("#key-field").waitFor();
    await own.fill("#key", "secret");
    await own.keyboard.press("Tab");
    await own.locator("#model", { hasText: "pocket-llama" }).waitFor();
    await own.fill('[name="max_tokens"]', "3");
    await own.click("#go");
    await done();
    expect(await own.innerText("#text .status")).toMatch(/^3 tokens/);
    await own.context().close();
  });

  test("with a chat template, sends the conversation so far, until a new chat", async () => {
    const template =
      "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('not that') }}{% endif %}{{ m.content }}\n{% endfor %}";
    using folder = await createVariant({ "chat_template.jinja": template });
    await using chat = await serving({ folder: folder.path });
    const { page: own, finished: done } = await open(browser, chat.url);
    await own.locator("#modes").waitFor();
    await own.fill('[name="max_tokens"]', "8");
    const send = async (text: string) => {
      await own.fill("#prompt", text);
      const asked = own.waitForRequest(/chat/);
      await own.keyboard.press("Control+Enter");
      await done();
      return (await asked).postDataJSON();
    };
    const answer = (nth: number) => own.locator(".entry:not(.user) .body").nth(nth).textContent();
    expect((await send("And God said")).messages).toEqual([{ role: "user", content: "And God said" }]);
    const first = await answer(0);
    await own.fill("#system", "Be brief.");
    expect((await send("And then?")).messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "And God said" },
      { role: "assistant", content: first },
      { role: "user", content: "And then?" },
    ]);
    await own.hover("#conversation .token >> nth=-2");
    expect(await own.locator("#candidates .chosen").count()).toBe(1);
    // A rejected message can be edited and sent again.
    await send("no");
    expect(await own.innerText("#error")).toEndWith("not that");
    expect(await own.inputValue("#prompt")).toBe("no");
    expect(await own.locator(".entry").count()).toBe(4);
    await own.click("#clear");
    await own.fill("#system", "");
    expect((await send("Again")).messages).toEqual([{ role: "user", content: "Again" }]);
    await own.check('[value="text"]');
    expect(await own.innerText("#prompt-label")).toBe("Prompt");
    await own.context().close();
  });
});
