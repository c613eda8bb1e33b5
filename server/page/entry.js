/** @file One text on the page: whose it is, its tokens as they arrive, why it ended, and a button that copies it. */
import { TokenList } from "./tokens.js";

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

/** Copies a text; by a selection if the page may not use the clipboard, as without HTTPS. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Why a text ended. */
function describeEnd(finish, stopReason) {
  if (finish === "length") return "stopped at the token limit";
  if (finish !== "stop") return "cut off";
  if (typeof stopReason === "string") return `stopped before ${JSON.stringify(stopReason)}`;
  return "ended by the model";
}

export class Entry {
  element = make("article", { className: "entry" });
  #body = make("div", { className: "body" });
  #status = make("span", { className: "status" });
  #tokens;
  #start = performance.now();
  #count = 0;
  #finish;
  #stopReason;
  /** The text so far. */
  text = "";

  /** @param title whose text it is */
  constructor(title, className = "") {
    if (className) this.element.classList.add(className);
    this.element.ariaLabel = title;
    this.element.append(make("h2", { textContent: title }), this.#body);
  }

  /** Adds text without tokens: a prompt or message. */
  say(text, className = "") {
    this.#body.append(make("span", { textContent: text, className }));
    return this;
  }

  /** Prepares for tokens. Screen readers wait until the end. */
  begin() {
    this.#tokens = new TokenList("Tokens");
    this.#body.append(this.#tokens.element);
    const button = make("button", { type: "button", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await copy(this.text);
      button.textContent = "Copied";
    });
    const footer = make("footer");
    footer.append(this.#status, button);
    this.element.append(footer);
    this.element.ariaBusy = "true";
    this.#status.textContent = "waiting for the first token";
    return this;
  }

  add({ text, tokens, finish, stopReason }) {
    if (text) this.#tokens.add(text, tokens);
    this.text += text;
    this.#count += tokens.length;
    [this.#finish, this.#stopReason] = [finish, stopReason];
    if (this.#count > 0) this.#status.textContent = this.#rate();
  }

  /** @param reason why it ended, if the last part does not say */
  end(reason = describeEnd(this.#finish, this.#stopReason)) {
    this.#status.textContent = `${this.#rate()}; ${reason}`;
    this.element.ariaBusy = "false";
  }

  #rate() {
    const rate = this.#count / ((performance.now() - this.#start) / 1000);
    return `${this.#count} tokens, ${rate.toFixed(0)} per second`;
  }
}
