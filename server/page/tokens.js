/** @file The tokens of a text: one tab stop, arrow keys to move, and the alternatives at each. */

const at = (id) => document.getElementById(id);

/** A token with its spaces and line breaks visible. */
const visible = (text) => JSON.stringify(text).slice(1, -1).replaceAll(" ", "·") || "(no text)";

/** A table of the candidates at a token's position, the most likely first, the chosen one marked. */
function createTable({ text, logprob, top }) {
  const others = top.filter((other) => other.text !== text);
  const sorted = [{ text, logprob, chosen: true }, ...others].sort((a, b) => b.logprob - a.logprob);
  const table = document.createElement("table");
  table.createCaption().textContent = `Candidates for ${visible(text)}, before temperature and penalties`;
  for (const { text: own, logprob: value, chosen } of sorted) {
    const percent = 100 * Math.exp(value);
    const row = table.insertRow();
    row.className = chosen ? "chosen" : "";
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = visible(own);
    row.append(name);
    row.insertCell().textContent = `${percent.toFixed(1)} %`;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.style.width = `${percent}%`;
    row.insertCell().append(bar);
    if (chosen)
      name.append(
        Object.assign(document.createElement("span"), { className: "mark", textContent: " ✓ chosen" }),
      );
  }
  return table;
}

/** The token whose candidates are shown. */
let shown;

function show(element, tokens) {
  shown?.setAttribute("aria-selected", "false");
  shown = element;
  element.setAttribute("aria-selected", "true");
  at("candidates").replaceChildren(...tokens.filter(({ logprob }) => logprob !== null).map(createTable));
  at("alternatives-hint").hidden = true;
}

at("close").addEventListener("click", () => {
  shown?.setAttribute("aria-selected", "false");
  at("candidates").replaceChildren();
  at("alternatives-hint").hidden = false;
});

export class TokenList {
  element = document.createElement("span");
  #tokens = new WeakMap();

  constructor(label) {
    this.element.role = "listbox";
    this.element.ariaLabel = label;
    this.element.ariaOrientation = "horizontal";
    const showTarget = ({ target }) => {
      const tokens = this.#tokens.get(target);
      if (tokens) show(target, tokens);
    };
    this.element.addEventListener("pointerover", showTarget);
    this.element.addEventListener("focusin", (event) => {
      this.#makeTabStop(event.target);
      showTarget(event);
    });
    this.element.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Appends text, made of these tokens. */
  add(text, tokens) {
    const span = document.createElement("span");
    span.className = /^\n+$/.test(text) ? "token line-end" : "token";
    span.role = "option";
    span.ariaSelected = "false";
    span.textContent = text;
    span.tabIndex = this.element.childElementCount === 0 ? 0 : -1;
    span.setAttribute("aria-describedby", "candidates");
    this.#tokens.set(span, tokens);
    this.element.append(span);
  }

  #makeTabStop(span) {
    for (const other of this.element.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    span.tabIndex = 0;
  }

  #move(event) {
    const spans = [...this.element.children];
    const index = spans.indexOf(event.target);
    const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: spans.length - 1 }[event.key];
    if (next === undefined || !spans[next]) return;
    event.preventDefault();
    spans[next].focus();
  }
}
