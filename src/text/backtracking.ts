/**
 * @file Bounds how often a regular expression backtracks, per character of a text.
 *
 * The tokenizers library aborts the whole process if Oniguruma gives up on a match, after 10,000,000 retries. So
 * the expressions of a tokenizer.json are analyzed before they run. Those of all known models take a few retries
 * per character at most, since what a loop matched is given back one by one, once. An expression that this file
 * cannot parse, or in which loops multiply, has no bound.
 */
import {
  type Part,
  alternatives,
  assertion,
  character,
  lookaround,
  maxWays,
  repeat,
  sequence,
} from "./backtracking-cost.ts";

class UnknownSyntax extends Error {}

/** Parses Oniguruma's syntax, as far as tokenizers use it. @throws UnknownSyntax */
class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Part {
    const part = this.#alternatives();
    if (this.#at < this.#text.length) throw new UnknownSyntax();
    return part;
  }

  /** Consumes what the pattern matches at the current position, if it does. */
  #take(pattern: RegExp): RegExpExecArray | undefined {
    const sticky = new RegExp(pattern, `${pattern.flags}yu`);
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.#text);
    if (match) this.#at = sticky.lastIndex;
    return match ?? undefined;
  }

  #alternatives(): Part {
    const parts = [this.#sequence()];
    while (this.#take(/\|/)) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0] : alternatives(parts);
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#text.length && !/[|)]/.test(this.#text[this.#at])) parts.push(this.#quantified());
    return sequence(parts);
  }

  #quantified(): Part {
    const part = this.#atom();
    const quantifier = this.#take(/[*+?]|\{(\d*)(,?)(\d*)\}/);
    if (!quantifier) return part;
    const [whole, from = "", comma = "", to = ""] = quantifier;
    const bounds: Readonly<Record<string, [number, number]>> = {
      "*": [0, Infinity],
      "+": [1, Infinity],
      "?": [0, 1],
    };
    if (!bounds[whole] && !from && !to) throw new UnknownSyntax();
    const upTo = to ? Number(to) : comma ? Infinity : Number(from);
    const [atLeast, max] = bounds[whole] ?? [Number(from), upTo];
    // A "?" makes *, + and ? lazy, and {m,n} optional. A possessive quantifier costs no more than a greedy one.
    const min = this.#take(/\?/) && !bounds[whole] ? 0 : atLeast;
    if (bounds[whole]) this.#take(/\+/);
    // After {m,n}, Oniguruma reads a "+" as another loop.
    if (!bounds[whole] && this.#take(/\+/)) return repeat(repeat(part, min, max), 1, Infinity);
    if (this.#take(/[*+?{]/)) throw new UnknownSyntax();
    return repeat(part, min, max);
  }

  #atom(): Part {
    if (this.#take(/\(\?(?:=|!|<=|<!)/)) return lookaround(this.#group());
    if (this.#take(/\((?:\?(?:[im]*(?:-[im]+)?:|>|<[a-z]\w*>))?(?!\?)/)) return this.#group();
    if (this.#take(/[\^$]|\\[bBAzZ]/)) return assertion;
    if (
      this.#take(
        /\\(?:[pP]\{\^?\w+\}|[dDwWsShHnrtfvae]|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|[^\w\s])/,
      )
    )
      return character;
    if (this.#take(/\[\^?(?!\])/)) {
      for (let depth = 1; depth > 0;) {
        const { 0: bracket } =
          this.#take(/\[:\^?\w+:\]|\[\^?(?!\])|\]|\\./s) ?? this.#take(/[^\]\\[]/s) ?? [];
        if (bracket === undefined) throw new UnknownSyntax();
        if (bracket === "]") depth--;
        else if (bracket === "[" || bracket === "[^") depth++;
      }
      return character;
    }
    if (this.#take(/[^\\()[\]{}|*+?^$]/s) ?? this.#take(/\{(?!\d*,?\d*\})|\}/)) return character;
    throw new UnknownSyntax();
  }

  #group(): Part {
    const part = this.#alternatives();
    if (!this.#take(/\)/)) throw new UnknownSyntax();
    return part;
  }
}

/** Max retries of a match per character of a long text: 0 if constant, undefined if they may grow faster than the text. */
export function retriesPerCharacter(expression: string): number | undefined {
  try {
    const { degree, ways } = new Parser(expression).parse().cost(false);
    return degree <= 1 && ways <= maxWays ? ways * degree : undefined;
  } catch (error) {
    if (error instanceof UnknownSyntax) return undefined;
    throw error;
  }
}
