/** @file Options of the commands: one table that is parsed, checked and printed as help. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { UserError } from "./user-error.ts";

type ParseArgsOptions = NonNullable<ParseArgsConfig["options"]>;

/** An option as parseArgs takes it, and what --help says about it. */
export type Option = ParseArgsOptions[string] & {
  /** What stands for the value in --help, such as FILE; none for a flag. */
  readonly value?: string;
  readonly help: string;
};
export type Options = Readonly<Record<string, Option>>;

/** The option of every command that prints its help. */
export const helpOption = {
  type: "boolean",
  short: "h",
  default: false,
  help: "prints this help",
} as const satisfies Option;

/** The option that overrides settings of a configuration; each command says whose. */
export const setOption = {
  type: "string",
  value: "path=value",
  multiple: true,
  default: [] as string[],
} as const satisfies Omit<Option, "help">;

/** @throws UserError for an option that does not exist, and for an argument that is not an option unless positionals are allowed. */
export function parse<T extends Options>(
  args: readonly string[],
  options: T,
  { allowPositionals = false } = {},
) {
  try {
    return parseArgs({ args: [...args], allowPositionals, options });
  } catch (cause) {
    throw new UserError(`${(cause as Error).message} (--help lists the options)`, { cause });
  }
}

/**
 * The value of an option that allows only certain ones.
 * @param option as it is typed: --device
 * @throws UserError
 */
export function parseChoice<T extends string>(option: string, allowed: readonly T[], value: string): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UserError(`${option}: expected ${allowed.join(", ")}, got ${value}`);
}

/**
 * The value of an option that is a whole number.
 * @param option as it is typed: --port
 * @throws UserError
 */
export function parseWholeNumber(option: string, value: string, min = 1): number {
  const number = value.trim() === "" ? NaN : Number(value);
  if (Number.isSafeInteger(number) && number >= min) return number;
  throw new UserError(`${option}: expected a whole number, at least ${min}, got ${value || "nothing"}`);
}

/** Columns of --help. */
const lineWidth = 110;
/** Columns of an option's name and value; longer ones have a line of their own. */
const nameWidth = 22;

/** Words in lines of at most `width` characters. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** The options as --help lists them, with their defaults. */
export function describe(options: Options): string {
  const lines = Object.entries(options).flatMap(([name, option]) => {
    const label = `  --${name}${option.value ? ` ${option.value}` : ""}  `.padEnd(nameWidth);
    const shown = typeof option.default === "string" ? ` (default: ${option.default})` : "";
    const [first, ...rest] = wrap(option.help + shown, lineWidth - nameWidth);
    const indented = (line: string) => " ".repeat(nameWidth) + line;
    return label.length > nameWidth
      ? [label.trimEnd(), ...[first, ...rest].map(indented)]
      : [label + first, ...rest.map(indented)];
  });
  return lines.join("\n");
}
