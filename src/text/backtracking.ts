/**
 * @file How often a regular expression may have to try again, per character of a text.
 *
 * The tokenizers library aborts the whole process where Oniguruma gives up on a match, after 10,000,000
 * retries. So a tokenizer.json's expressions are looked at before they run: those of all known models take
 * a few retries per character at most, for what a loop has taken is given back one by one, once. An
 * expression that this file cannot read, or in which loops multiply, has no bound.
 */

/** What one part of an expression may cost at one place of a text of n characters: at most ways · n^degree retries. */
interface Part {
  /** @param mayFail whether something behind it may fail, which makes it give back what it took. */
  cost(mayFail: boolean): { readonly degree: number; readonly ways: number };
  /** Whether it may fail itself, wherever it is. */
  readonly fallible: boolean;
  /** Characters that it takes, if always the same number. */
  readonly width: number | undefined;
}

/** Known expressions have under 50. */
const mostWays = 1000;

const endless = { degree: Infinity, ways: Infinity };
const character: Part = { cost: () => ({ degree: 0, ways: 1 }), fallible: true, width: 1 };
const place: Part = { ...character, width: 0 };

const sum = (values: readonly (number | undefined)[]) =>
  values.reduce(
    (total, value) => (total === undefined || value === undefined ? undefined : total + value),
    0,
  );

function sequence(parts: readonly Part[]): Part {
  return {
    cost(mayFail) {
      let [degree, ways] = [0, 1];
      for (const part of parts.toReversed()) {
        const own = part.cost(mayFail);
        degree += own.degree;
        ways *= own.ways;
        mayFail ||= part.fallible;
      }
      return { degree, ways };
    },
    fallible: parts.some(({ fallible }) => fallible),
    width: sum(parts.map(({ width }) => width)),
  };
}

function alternatives(parts: readonly Part[]): Part {
  return {
    cost(mayFail) {
      const costs = parts.map((part) => part.cost(mayFail));
      const degree = Math.max(...costs.map((cost) => cost.degree));
      const waysOf = (of: readonly { ways: number }[]) => of.reduce((total, { ways }) => total + ways, 0);
      const most = costs.filter((cost) => cost.degree === degree);
      // What does not grow with the text is less than one retry per character of a long one.
      const others = waysOf(costs.filter((cost) => cost.degree < degree));
      return others > mostWays ? endless : { degree, ways: waysOf(most) + (others > 0 ? 1 : 0) };
    },
    fallible: parts.every(({ fallible }) => fallible),
    width: parts.every(({ width }) => width === parts[0].width) ? parts[0].width : undefined,
  };
}

/** What is looked at without being taken: done once it has matched. */
const lookaround = (inside: Part): Part => ({ cost: () => inside.cost(false), fallible: true, width: 0 });

function repeated(part: Part, least: number, most: number): Part {
  const fallible = least > 0 && part.fallible;
  const width = least === most && part.width !== undefined ? part.width * least : undefined;
  const cost = (mayFail: boolean) => {
    if (most === 1) {
      const { degree, ways } = part.cost(mayFail);
      return { degree, ways: ways + (least === 0 ? 1 : 0) };
    }
    if (!mayFail) {
      // Each turn that fails leaves the loop, and gives back nothing of the turns before.
      const { degree, ways } = part.cost(false);
      if (degree > 0) return endless;
      return { degree: ways > 1 ? 1 : 0, ways };
    }
    const { degree, ways } = part.cost(true);
    // A loop around what takes different ways through the same text: they multiply.
    if (degree > 0 || ways > 1 || !part.width) {
      if (degree > 0 || most > 8) return endless;
      return { degree: 0, ways: (ways + 1) ** most };
    }
    if (most === Infinity) return { degree: 1, ways: 1 };
    return { degree: 0, ways: most - least + 1 };
  };
  return { cost, fallible, width };
}

class Unknown extends Error {}

/** Reads Oniguruma's syntax, as far as tokenizers use it. @throws Unknown */
class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Part {
    const part = this.#alternatives();
    if (this.#at < this.#text.length) throw new Unknown();
    return part;
  }

  /** Takes what the expression says next, if it does. */
  #take(expression: RegExp): RegExpExecArray | undefined {
    const sticky = new RegExp(expression, `${expression.flags}yu`);
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
    while (this.#at < this.#text.length && !/[|)]/.test(this.#text[this.#at])) parts.push(this.#repeated());
    return sequence(parts);
  }

  #repeated(): Part {
    const part = this.#atom();
    const mark = this.#take(/[*+?]|\{(\d*)(,?)(\d*)\}/);
    if (!mark) return part;
    const [whole, from = "", comma = "", to = ""] = mark;
    const limits: Readonly<Record<string, [number, number]>> = {
      "*": [0, Infinity],
      "+": [1, Infinity],
      "?": [0, 1],
    };
    if (!limits[whole] && !from && !to) throw new Unknown();
    const most = to ? Number(to) : comma ? Infinity : Number(from);
    const [asked, limit] = limits[whole] ?? [Number(from), most];
    // Lazy, or where a number stands before it, optional. What is possessive costs no more than what is not.
    const least = this.#take(/\?/) && !limits[whole] ? 0 : asked;
    if (limits[whole]) this.#take(/\+/);
    // After a number, Oniguruma takes a "+" for one more loop.
    if (!limits[whole] && this.#take(/\+/)) return repeated(repeated(part, least, limit), 1, Infinity);
    if (this.#take(/[*+?{]/)) throw new Unknown();
    return repeated(part, least, limit);
  }

  #atom(): Part {
    if (this.#take(/\(\?(?:=|!|<=|<!)/)) return lookaround(this.#group());
    if (this.#take(/\((?:\?(?:[im]*(?:-[im]+)?:|>|<[a-z]\w*>))?(?!\?)/)) return this.#group();
    if (this.#take(/[\^$]|\\[bBAzZ]/)) return place;
    if (
      this.#take(
        /\\(?:[pP]\{\^?\w+\}|[dDwWsShHnrtfvae]|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|[^\w\s])/,
      )
    )
      return character;
    if (this.#take(/\[\^?(?!\])/)) {
      for (let depth = 1; depth > 0;) {
        const { 0: mark } = this.#take(/\[:\^?\w+:\]|\[\^?(?!\])|\]|\\./s) ?? this.#take(/[^\]\\[]/s) ?? [];
        if (mark === undefined) throw new Unknown();
        if (mark === "]") depth--;
        else if (mark === "[" || mark === "[^") depth++;
      }
      return character;
    }
    if (this.#take(/[^\\()[\]{}|*+?^$]/s) ?? this.#take(/\{(?!\d*,?\d*\})|\}/)) return character;
    throw new Unknown();
  }

  #group(): Part {
    const part = this.#alternatives();
    if (!this.#take(/\)/)) throw new Unknown();
    return part;
  }
}

/** Retries per character of a long text that a match takes at most, 0 if they do not grow with it; none if they may grow faster. */
export function retriesPerCharacter(expression: string): number | undefined {
  try {
    const { degree, ways } = new Parser(expression).whole().cost(false);
    return degree <= 1 && ways <= mostWays ? ways * degree : undefined;
  } catch (error) {
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}
