// Gradio's own components by their native elements. A listener on the element itself hears the hand in the same tick,
// which Gradio's event path does not; what the script writes it says to the element as if typed, so that Gradio's state,
// its number box and its reset follow.

import { h, icon } from "./panel_kit.js";
import { same } from "./recipe.js";
import { onlyNumbers } from "./typing.js";

const SETTLING = [60, 400, 2000]; // ms in which Gradio may give a component that it is building its first value once more

function whileSettling(check) {
  for (const wait of SETTLING) setTimeout(check, wait);
}

/** A gr.Slider whose range reaches from `min` to `max`, or a gr.Number; `change(value, moving)`, `reset()`. */
export class NumberField {
  #held; // what Gradio holds
  #shown; // what was written last
  #writing = false;
  #by = "page"; // whose value stands here

  constructor(id, { name, change, reset, spell = String }) {
    this.root = document.getElementById(id);
    this.range = this.root.querySelector("input[type=range]");
    this.number = this.root.querySelector("input[type=number]");
    this.back = this.root.querySelector(".reset-button");
    this.spell = spell;
    this.#held = this.number.valueAsNumber;
    for (const element of [this.range, this.number]) this.#listen(element, name, change);
    onlyNumbers(this.number);
    // Gradio clamps what was typed; the page shows what was asked for until it is answered.
    this.number.addEventListener("blur", () => queueMicrotask(() => this.#rewrite()));
    if (this.back) this.#mountReset(name, reset);
    whileSettling(() => document.activeElement !== this.number && this.number.valueAsNumber !== this.#shown && this.#rewrite());
  }

  /** Narrow what the range reaches; typing goes as far as Gradio's own limits. */
  reach(min, max) {
    [this.range.min, this.range.max] = [min, max];
  }

  get min() {
    return Number(this.range.min);
  }

  get max() {
    return Number(this.range.max);
  }

  /** Show a value, without disturbing somebody who is typing it. */
  write(value) {
    this.#shown = value;
    if (value !== this.#held) this.#tell(value);
    this.#dress();
  }

  #listen(element, name, change) {
    if (!element) return;
    element.setAttribute("aria-label", name);
    const hear = (moving) => {
      if (this.#writing || element.value === "" || element.validity.badInput) return;
      // Leaving a field is no change where the page has put its own value back meanwhile.
      if (!moving && this.#by === "page") return;
      this.#by = "hand";
      this.#held = element.valueAsNumber;
      change(this.#held, moving);
    };
    element.addEventListener("input", () => hear(true));
    element.addEventListener("change", () => hear(false));
  }

  #mountReset(name, reset) {
    this.back.setAttribute("aria-label", `Reset ${name.toLowerCase()}`);
    this.back.replaceChildren(icon("reset"));
    this.back.addEventListener("click", reset);
  }

  #tell(value) {
    this.#held = value;
    this.#by = "page";
    this.#writing = true;
    try {
      this.number.value = value;
      this.number.dispatchEvent(new Event("input", { bubbles: true }));
    } finally {
      this.#writing = false;
    }
    if (this.range) this.range.value = value;
  }

  #rewrite() {
    if (this.#shown === undefined) return;
    this.#held = null;
    this.write(this.#shown);
  }

  #dress() {
    const { range, number } = this;
    const share = range ? (this.#shown - this.min) / (this.max - this.min) : 0;
    range?.style.setProperty("--fill", `${100 * Math.min(1, Math.max(0, share))}%`);
    // After Gradio's own writing of the same number, which is queued.
    queueMicrotask(() => {
      if (document.activeElement !== number) number.value = this.spell(this.#shown);
    });
  }
}

/** A gr.Slider of whole numbers that belongs to the page alone; `change(value, moving)`, `write(value)` shows one. */
export function wholeField(id, { name, reach: [min, max], most = max, start, change }) {
  const field = new NumberField(id, {
    name,
    change: (value, moving) => {
      const fits = Number.isInteger(value) && value >= min && value <= most;
      field.number.setAttribute("aria-invalid", String(!fits));
      if (!fits) return;
      show(value);
      change(value, moving);
    },
    reset: () => (show(start), change(start, false)),
  });
  const show = (value) => {
    field.write(value);
    field.back.disabled = value === start;
  };
  field.number.addEventListener("blur", () => field.number.removeAttribute("aria-invalid"));
  field.back.title = `Back to ${start}`;
  field.reach(min, max);
  show(start);
  return field;
}

/**
 * A gr.Radio, made one group for keys and for people who hear the page; `change(value)`. `titles`: value -> words.
 * Returns `suggest(value)`: another start, taken at once where nobody has chosen something else.
 */
export function radioField(id, { name, titles, start, change }) {
  const root = nameGroup(id, name, "radiogroup");
  const radios = [...root.querySelectorAll("input")];
  for (const radio of radios) {
    radio.name = id;
    radio.closest("label").title = titles[radio.value];
  }
  const back = resetOf(root, { name, press: () => radios.find(({ value }) => value === start).click() });
  const chosen = () => radios.find(({ checked }) => checked)?.value;
  let byHand = false; // what somebody has chosen stays until it is reset, also where it becomes the start meanwhile
  root.addEventListener("change", ({ target }) => {
    byHand = target.value !== start;
    back.disabled = !byHand;
    change(target.value);
  });
  return (value) => {
    start = value;
    if (!byHand && chosen() !== value) radios.find((radio) => radio.value === value).click();
    back.disabled = chosen() === value;
  };
}

/** A gr.Textbox that is read while somebody types in it; what `read` throws is written under it. `write(text)` shows one. */
export function textField(id, { name, hint, read }) {
  const root = document.getElementById(id);
  const input = root.querySelector("input, textarea");
  const start = input.value;
  const words = h("p", { class: "hint", id: `${id}-hint`, "aria-live": "polite" }, hint);
  for (const [key, value] of Object.entries({ "aria-label": name, "aria-describedby": words.id, autocomplete: "off", spellcheck: "false" })) input.setAttribute(key, value);
  let [writing, shown] = [false, start];
  const attempt = () => {
    back.disabled = input.value === start;
    shown = input.value;
    if (writing) return;
    try {
      read(input.value);
      say("");
    } catch (wrong) {
      say(wrong.message);
    }
  };
  const say = (sentence) => {
    input.setAttribute("aria-invalid", String(Boolean(sentence)));
    words.textContent = sentence || hint;
    words.classList.toggle("wrong", Boolean(sentence));
  };
  const put = (text) => {
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const write = (text) => {
    if (document.activeElement === input || input.value === text) return;
    writing = true;
    put(text);
    writing = false;
    say("");
  };
  whileSettling(() => write(shown));
  const back = resetOf(root, { name, press: () => put(start) });
  input.addEventListener("input", attempt);
  root.append(words);
  return { input, write };
}

/** A reset for a component that brings none; it starts grey. */
export function resetOf(root, { name, press }) {
  const words = `Reset ${name.toLowerCase()}`;
  const back = h("button", { type: "button", class: "reset", "aria-label": words, title: words, disabled: true, onclick: press }, icon("reset"));
  root.append(back);
  return back;
}

/** Gradio's dropdowns and groups of ticks: what they offer and show goes over to Gradio when it changed, what people choose comes back. */
export class Menus {
  #menus = new Map();

  /** Hear what is chosen in the menu `id`: `choose(value)`; returns its combobox. `sync` is the button it hangs on. */
  mount(id, choose, { sync = "menus-sync" } = {}) {
    this.#menus.set(id, { choose, sync, told: "", value: null, choices: undefined });
    return document.querySelector(`#${id} input`);
  }

  /** Offer `choices`, a list of words or of [words, value], and show `value`; either may be left as it is. */
  show(id, { choices, value }) {
    const menu = this.#menus.get(id);
    menu.choices = choices ?? menu.choices;
    menu.value = value;
    const told = JSON.stringify([menu.choices, value]);
    if (told === menu.told) return;
    menu.told = told;
    document.getElementById(menu.sync).click();
  }

  /** Called by Gradio: somebody chose. */
  chosen(id, value) {
    const menu = this.#menus.get(id);
    if (!menu || same(value, menu.value)) return;
    menu.value = value;
    menu.told = JSON.stringify([menu.choices, value]);
    menu.choose(value);
  }

  /** Called by Gradio: what to show in these dropdowns. */
  updates(ids) {
    return ids.map((id) => {
      const { choices, value } = this.#menus.get(id) ?? {};
      const offered = choices && { choices: choices.map((word) => (Array.isArray(word) ? word : [word, word])), interactive: choices.length > 0 };
      return { __type__: "update", ...offered, value: value ?? null };
    });
  }
}

/** Put one of the page's icons before (or after) the words of a button, and say what it does when pointed at. */
export function adorn(id, name, { title, after = false } = {}) {
  const button = document.getElementById(id);
  button[after ? "append" : "prepend"](icon(name));
  if (title) button.title = title;
  return button;
}

/** A group with a name for people who hear the page. */
export function nameGroup(id, name, role = "group") {
  const root = document.getElementById(id);
  root.setAttribute("role", role);
  root.setAttribute("aria-label", name);
  return root;
}
