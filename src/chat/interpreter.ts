/** @file Renders a chat template within limits: it is a program that came with a model, and may loop or write without end. */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";

/** Expressions and statements of one rendering; of a message, a long template needs some hundred. */
const mostSteps = 2_000_000;
/** Characters of a text, or of all that a list or an object holds: sixteen books. */
const mostCharacters = 2 ** 24;
/** Characters of all texts that are made on the way to the last one. */
const mostMade = 2 ** 29;
/** As in the sandbox of Python's jinja2. */
const longestRange = 100_000;

type Evaluate = Interpreter["evaluate"];
type Value = ReturnType<Evaluate>;

class LimitedInterpreter extends Interpreter {
  #steps = 0;
  #made = 0;
  /** Lists and objects never change, and may hold each other many times. */
  readonly #sizes = new WeakMap<object, number>();

  override evaluate(...args: Parameters<Evaluate>): Value {
    if (++this.#steps > mostSteps) throw new Error(`it takes more than ${mostSteps} steps`);
    const result = super.evaluate(...args);
    const size = this.#sizeOf(result);
    if (size > mostCharacters) throw new Error(`it makes a text of more than ${mostCharacters} characters`);
    if (typeof result.value === "string" && (this.#made += size) > mostMade)
      throw new Error(`it makes texts of more than ${mostMade} characters`);
    return result;
  }

  #sizeOf({ type, value }: Value): number {
    if (typeof value === "string") return value.length;
    // A namespace may change, and even hold itself; what it holds has been measured.
    if (type === "NamespaceValue" || !(Array.isArray(value) || value instanceof Map)) return 1;
    let size = this.#sizes.get(value);
    if (size === undefined) {
      size = 1;
      if (value instanceof Map) for (const [key, inner] of value) size += key.length + this.#sizeOf(inner);
      else for (const inner of value) size += this.#sizeOf(inner);
      this.#sizes.set(value, size);
    }
    return size;
  }
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() step must not be zero");
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length > longestRange) throw new Error(`range of ${length}; at most ${longestRange} are allowed`);
  return Array.from({ length }, (_, i) => from + i * step);
}

/** The time now as Python's strftime writes it, where a template says so, as to tell the model the date. */
function strftimeNow(format: string): string {
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, "0");
  const name = (options: Intl.DateTimeFormatOptions) => now.toLocaleDateString("en-US", options);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(now.getFullYear()),
    y: () => two(now.getFullYear() % 100),
    m: () => two(now.getMonth() + 1),
    B: () => name({ month: "long" }),
    b: () => name({ month: "short" }),
    d: () => two(now.getDate()),
    A: () => name({ weekday: "long" }),
    a: () => name({ weekday: "short" }),
    H: () => two(now.getHours()),
    M: () => two(now.getMinutes()),
    S: () => two(now.getSeconds()),
    "%": () => "%",
  };
  return format.replace(/%(.)/g, (whole, letter: string) => parts[letter]?.() ?? whole);
}

/** A template, ready to be rendered. @throws if it is none. */
export function compile(template: string): (variables: Readonly<Record<string, unknown>>) => string {
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  return (variables) => {
    const environment = new Environment();
    const all = {
      true: true,
      True: true,
      false: false,
      False: false,
      none: null,
      None: null,
      range,
      strftime_now: strftimeNow,
      raise_exception(reason: unknown) {
        throw new Error(String(reason));
      },
      ...variables,
    };
    for (const [name, value] of Object.entries(all)) environment.set(name, value);
    return new LimitedInterpreter(environment).run(program).value as string;
  };
}
