/** @file Renders chat templates within limits: they are programs that come with a model, and may never end. */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";

/** Expressions and statements of one rendering; a long template takes some hundred per message. */
const maxSteps = 2_000_000;
/** Characters of a string, or of everything in a list or an object: sixteen books. */
const maxCharacters = 2 ** 24;
/** Characters of all strings that one rendering computes. */
const maxTotalCharacters = 2 ** 29;
/** As in the sandbox of Python's jinja2. */
const maxRange = 100_000;

type Evaluate = Interpreter["evaluate"];
type Value = ReturnType<Evaluate>;

class LimitedInterpreter extends Interpreter {
  #steps = 0;
  #totalCharacters = 0;
  /** Cached, since lists and objects never change, and may contain each other many times. */
  readonly #sizes = new WeakMap<object, number>();

  override evaluate(...args: Parameters<Evaluate>): Value {
    if (++this.#steps > maxSteps) throw new Error(`it takes more than ${maxSteps} steps`);
    const result = super.evaluate(...args);
    const size = this.#measure(result);
    if (size > maxCharacters) throw new Error(`it makes a string of more than ${maxCharacters} characters`);
    if (typeof result.value === "string" && (this.#totalCharacters += size) > maxTotalCharacters)
      throw new Error(`it makes strings of more than ${maxTotalCharacters} characters in total`);
    return result;
  }

  #measure({ type, value }: Value): number {
    if (typeof value === "string") return value.length;
    // A namespace may change, and even contain itself; its values have been measured.
    if (type === "NamespaceValue" || !(Array.isArray(value) || value instanceof Map)) return 1;
    let size = this.#sizes.get(value);
    if (size === undefined) {
      size = 1;
      if (value instanceof Map) for (const [key, inner] of value) size += key.length + this.#measure(inner);
      else for (const inner of value) size += this.#measure(inner);
      this.#sizes.set(value, size);
    }
    return size;
  }
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() step must not be zero");
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length > maxRange) throw new Error(`range of ${length}; at most ${maxRange} are allowed`);
  return Array.from({ length }, (_, i) => from + i * step);
}

/** The current time in Python's strftime format; templates use it to tell the model the date. */
function strftimeNow(format: string): string {
  const now = new Date();
  const twoDigits = (value: number) => String(value).padStart(2, "0");
  const name = (options: Intl.DateTimeFormatOptions) => now.toLocaleDateString("en-US", options);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(now.getFullYear()),
    y: () => twoDigits(now.getFullYear() % 100),
    m: () => twoDigits(now.getMonth() + 1),
    B: () => name({ month: "long" }),
    b: () => name({ month: "short" }),
    d: () => twoDigits(now.getDate()),
    A: () => name({ weekday: "long" }),
    a: () => name({ weekday: "short" }),
    H: () => twoDigits(now.getHours()),
    M: () => twoDigits(now.getMinutes()),
    S: () => twoDigits(now.getSeconds()),
    "%": () => "%",
  };
  return format.replace(/%(.)/g, (whole, letter: string) => parts[letter]?.() ?? whole);
}

/** @throws if the template cannot be parsed. */
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
