/** Paths, links, commands and walks in the documents match the code. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { readConfig } from "../../streams/config/config-file.ts";
import { configurationPage } from "../../streams/config/document.ts";
import { createFolder } from "../folder.ts";

const root = resolve(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const documents = ["*.md", "{docs,examples,.github}/**/*.md", "demo/*.md"].flatMap((pattern) =>
  Array.from(new Bun.Glob(pattern).scanSync({ cwd: root, dot: true })),
);

/** A document without its code blocks. */
const prose = (text: string) => text.replace(/^```[^]*?^```$/gm, "");

/** Anchors of the headings of a document, as GitHub makes them. */
const anchors = (text: string) =>
  Array.from(prose(text).matchAll(/^#+ (.*)$/gm), ([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );

test("the README has at most 100 lines", () => {
  expect(documents).toEqual(expect.arrayContaining(["README.md", "docs/method.md", "examples/README.md"]));
  expect(read("README.md").split("\n").length - 1).toBeLessThanOrEqual(100);
});

test("every link inside the repository leads somewhere", () => {
  const broken: string[] = [];
  for (const path of documents) {
    const links = prose(read(path)).matchAll(/\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"/g);
    for (const [, link, source] of links) {
      const [target, anchor] = (link ?? source).split("#");
      if (/^https?:/.test(target)) continue;
      const file = target ? join(dirname(path), target) : path;
      const found = existsSync(join(root, file)) && (!anchor || anchors(read(file)).includes(anchor));
      if (!found) broken.push(`${path}: ${link ?? source}`);
    }
  }
  expect(broken).toEqual([]);
});

test("every path of the repository that a document names exists", () => {
  const paths =
    /(?<![\w/.-])(?:src|streams|server|test|bench|demo|docs|examples|\.ci|\.github)\/[\w./-]*[\w/-]/g;
  const missing: string[] = [];
  for (const document of documents)
    for (const [path] of read(document).matchAll(paths))
      // Relative to the document, if written that way.
      if (!existsSync(join(root, path)) && !existsSync(join(root, dirname(document), path)))
        missing.push(`${document}: ${path}`);
  expect(missing).toEqual([]);
});

test("every script that a document runs is in package.json", () => {
  const { scripts } = JSON.parse(read("package.json"));
  for (const document of documents)
    for (const [, name] of read(document).matchAll(/\b(?:bun|npm) run (?:--silent )?([\w-]+)/g))
      expect([document, Object.keys(scripts)]).toEqual([document, expect.arrayContaining([name])]);
});

test("the README's configuration is valid", () => {
  const [, yaml] = /```yaml\n([^]*?)```/.exec(read("README.md"))!;
  using folder = createFolder({ "mine.yaml": yaml });
  const { target, sources, train, data } = readConfig(join(folder.path, "mine.yaml"));
  expect({ target, steps: train.steps, text: data.text }).toEqual({
    target: "HuggingFaceTB/SmolLM2-135M",
    steps: 2000,
    text: "content",
  });
  expect(sources).toEqual(["Qwen/Qwen2.5-0.5B", join(folder.path, "my-teacher")]);
});

test("docs/configuration.md is what bun run docs writes, and every setting has a meaning", () => {
  expect(read("docs/configuration.md")).toBe(configurationPage());
  const rows = read("docs/configuration.md").matchAll(/^\| `(\w+)` .*\|([^|]*)\|$/gm);
  expect(
    Array.from(rows)
      .filter(([, , meaning]) => meaning.trim() === "")
      .map(([, name]) => name),
  ).toEqual([]);
});

test("the tree in docs/design.md has every folder of the code, and nothing else", () => {
  const [, tree] = /## The tree\n\n```\n([^]*?)```/.exec(read("docs/design.md"))!;
  const named: string[] = [];
  const above: string[] = [];
  for (const line of tree.trimEnd().split("\n")) {
    const [, indent, name] = /^( *)(\S+)/.exec(line)!;
    above.length = indent.length / 2;
    above.push(name.replace(/\/$/, ""));
    named.push(above.join("/"));
  }
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const folders = ["src", "streams"].flatMap((top) =>
    readdirSync(join(root, top), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${top}/${entry.name}`),
  );
  expect(folders.filter((folder) => !named.includes(folder))).toEqual([]);
});

test("each walk in docs/design.md has ten steps, whose files hold what the step names", () => {
  const [, walks] = /## Three walks\n([^]*?)\n## /.exec(read("docs/design.md"))!;
  const titles: string[] = [];
  for (const [, title, steps] of walks.matchAll(/^### (.*)\n\n((?:\d+\. .*\n)+)/gm)) {
    titles.push(title);
    const lines = steps.trimEnd().split("\n");
    expect([title, lines.length]).toEqual([title, 10]);
    for (const line of lines) {
      const [, path, rest] = /^\d+\. \[[^\]]+\]\(\.\.\/([^)]+)\)(.*)$/.exec(line)!;
      const text = read(path);
      const named = Array.from(rest.matchAll(/`(\w+)`/g), ([, name]) => name);
      expect([path, named.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))]).toEqual([path, []]);
    }
  }
  expect(titles).toEqual(["A document", "A gradient", "A request"]);
});

test("every decision is in the list, with its context, decision and consequences", () => {
  const folder = join(root, "docs/decisions");
  const pages = readdirSync(folder).filter((name) => name !== "README.md");
  const listed = Array.from(
    read("docs/decisions/README.md").matchAll(/\]\((\S+?\.md)\)/g),
    ([, name]) => name,
  );
  expect(listed.sort()).toEqual(pages.sort());
  for (const page of pages) {
    const headings = Array.from(read(`docs/decisions/${page}`).matchAll(/^## (.*)$/gm), ([, title]) => title);
    expect([page, headings]).toEqual([page, ["Context", "Decision", "Consequences"]]);
  }
});

test("the two pictures of the pipeline differ only in colour", () => {
  const drawing = (name: string) => read(`docs/${name}.svg`).replaceAll(/#[0-9a-f]{6}/g, "#");
  expect(drawing("pipeline-dark")).toBe(drawing("pipeline"));
  expect(read("docs/pipeline-dark.svg")).not.toBe(read("docs/pipeline.svg"));
});

test("no document contains a path of the machine it was written on", () => {
  for (const path of documents)
    expect([path, read(path).match(/\/(?:home|root|tmp|work|Users)\//g)]).toEqual([path, null]);
});
