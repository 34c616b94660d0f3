// What the colours of the map mean: names with a press that fades all others, or a bar from the lowest to the highest value.

import { colourOf, rampGradient, short } from "./panel_map_colour.js";
import { h } from "./panel_kit.js";

const MOST = 200; // buttons; the dots of further names have their colours all the same

export class Legend {
  #key = null;
  #alone = null;

  /** choose(label) when a name is pressed, choose(null) when it is let go. */
  constructor({ choose }) {
    this.choose = choose;
    this.names = h("div", { class: "classes", role: "group", "aria-label": "Classes on the map", hidden: true });
    this.words = h("span", { class: "label" });
    this.ends = [h("span"), h("span"), h("span")];
    this.bar = h("div", { class: "ramp", style: `--light: ${rampGradient(false)}; --dark: ${rampGradient(true)}` });
    this.scale = h("div", { class: "scale", role: "img", hidden: true }, this.words, this.bar, h("div", { class: "ends" }, this.ends));
    this.root = h("div", { class: "legend" }, this.names, this.scale);
  }

  /** Say what {names, words, reach} mean; nothing for null. */
  show(values) {
    this.names.hidden = !values?.names.length;
    this.scale.hidden = !values || values.names.length > 0;
    this.#press(null);
    if (!values) return;
    if (values.names.length) this.#showNames(values);
    else this.#showScale(values);
  }

  #showScale({ words, reach: [low, high], values }) {
    const known = values.filter((value) => value !== null).length;
    this.words.textContent = /^[a-z]+( |$)/.test(words) ? words[0].toUpperCase() + words.slice(1) : words; // a name keeps its letters
    const reach = [low, (low + high) / 2, high].map((value) => short(Number(value.toPrecision(3))));
    const ends = known ? reach : ["", "being worked out", ""]; // before the first value the reach means nothing
    this.ends.forEach((end, k) => (end.textContent = ends[k]));
    const missing = known < values.length ? `, ${known.toLocaleString("en")} of ${values.length.toLocaleString("en")} known` : "";
    this.scale.setAttribute("aria-label", `Colours: ${words}${known ? ` from ${ends[0]} to ${ends[2]}` : ""}${missing}`);
    this.scale.title = `${this.words.textContent}${missing}; the ends are the lowest and highest hundredth`;
  }

  #showNames({ names, words }) {
    const key = JSON.stringify([names, words]);
    if (this.#key === key) return;
    this.#key = key;
    const shown = names.slice(0, MOST).map((name, label) => {
      const colours = [false, true].map((dark) => colourOf(label, names.length, dark));
      const dot = h("span", { class: "dot", "aria-hidden": "true", style: `--light: ${colours[0]}; --dark: ${colours[1]}` });
      const press = () => {
        this.#press(this.#alone === label ? null : label);
        this.choose(this.#alone);
      };
      return h("button", { type: "button", "aria-pressed": "false", title: `${name} alone`, onclick: press }, dot, h("span", {}, name));
    });
    const more = names.length > MOST ? [h("span", { class: "hint" }, `and ${names.length - MOST} more`)] : [];
    this.names.replaceChildren(...shown, ...more);
  }

  #press(label) {
    this.#alone = label;
    [...this.names.querySelectorAll("button")].forEach((one, k) => one.setAttribute("aria-pressed", String(k === label)));
  }
}
