/** The options of a command: what is parsed, refused, and printed as help. */
import { expect, test } from "bun:test";
import { describe, parseChoice, parse, parseWholeNumber } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";

const options = {
  port: { type: "string", default: "8000", value: "N", help: "where to listen; 0 takes a free one" },
  cors: { type: "string", multiple: true, value: "ORIGIN", help: "an origin to allow" },
  "generation-config": { type: "string", default: "auto", value: "auto|off", help: "x ".repeat(80).trim() },
  help: { type: "boolean", help: "this text" },
} as const;

test("options are parsed with their defaults, and may be repeated where the table says so", () => {
  const { values } = parse(["--cors", "a", "--cors=b"], options);
  expect({ ...values }).toEqual({ port: "8000", cors: ["a", "b"], "generation-config": "auto" });
});

test("a misspelt option, a missing value and a stray argument are the user's mistakes, with a hint", () => {
  for (const args of [["--prot", "1"], ["--port"], ["stray"]]) {
    expect(() => parse(args, options)).toThrow(UserError);
    expect(() => parse(args, options)).toThrow("(--help lists the options)");
  }
  expect(parse(["config.yaml"], options, { allowPositionals: true }).positionals).toEqual(["config.yaml"]);
});

test("oneOf accepts the listed values and nothing else", () => {
  expect(parseChoice("--device", ["cpu", "cuda"], "cuda")).toBe("cuda");
  expect(() => parseChoice("--device", ["cpu", "cuda"], "tpu")).toThrow(
    "--device: expected cpu, cuda, got tpu",
  );
});

test("wholeNumber accepts whole numbers from its minimum and nothing else", () => {
  expect(parseWholeNumber("--port", "0", 0)).toBe(0);
  expect(parseWholeNumber("--slots", "16")).toBe(16);
  for (const value of ["0", "-1", "1.5", "ten", "1e99", "NaN", "Infinity"])
    expect(() => parseWholeNumber("--slots", value)).toThrow(
      `--slots: expected a whole number, at least 1, got ${value}`,
    );
  for (const value of ["", " "]) expect(() => parseWholeNumber("--port", value, 0)).toThrow(UserError);
});

test("help lists every option with its value, its default and its text, in lines of one width", () => {
  const lines = describe(options).split("\n");
  expect(lines[0]).toBe("  --port N            where to listen; 0 takes a free one (default: 8000)");
  expect(lines[1]).toBe("  --cors ORIGIN       an origin to allow");
  // Too long for its text to follow on the same line.
  expect(lines[2]).toBe("  --generation-config auto|off");
  for (const line of lines.slice(3, -1)) expect(line).toStartWith(" ".repeat(22) + "x");
  expect(lines.at(-2)).toEndWith("(default: auto)");
  expect(lines.at(-1)).toBe("  --help              this text");
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(110);
});
