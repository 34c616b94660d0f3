// The classes of a map: a colour each, and a press that fades all others.

import { className, h } from "./panel_kit.js";

const MOST = 200; // buttons; the dots of further classes have their colours all the same

/** The hue of a class in degrees: even steps round the circle for a few, the golden angle for many. As atlas.py has it. */
export function hue(label, count) {
  return (count <= 8 ? (360 * label) / count + 200 : 137.508 * label + 200) % 360;
}

export class Legend {
  #count = 0;
  #key = null;
  #alone = null;

  /** choose(label) when a class is pressed, choose(null) when it is let go. */
  constructor({ choose }) {
    this.choose = choose;
    this.root = h("div", { class: "classes", role: "group", "aria-label": "Classes on the map", hidden: true });
  }

  /** Offer the classes of a network, none for null. */
  show(network) {
    this.root.hidden = !network;
    this.#count = network?.classes ?? 0;
    const key = network && `${network.name} ${network.sha}`;
    this.#press(null);
    if (!network || this.#key === key) return;
    this.#key = key;
    const shown = Array.from({ length: Math.min(MOST, this.#count) }, (_, label) => {
      const dot = h("span", { class: "dot", "aria-hidden": "true", style: `--hue: ${hue(label, this.#count)}` });
      const words = className(network, label);
      const press = () => {
        this.#press(this.#alone === label ? null : label);
        this.choose(this.#alone);
      };
      return h("button", { type: "button", "aria-pressed": "false", title: `${words} alone`, onclick: press }, dot, h("span", {}, words));
    });
    const more = this.#count > MOST ? h("span", { class: "hint" }, `and ${this.#count - MOST} more`) : null;
    this.root.replaceChildren(...shown, ...(more ? [more] : []));
  }

  /** {colours, labels} of the first `count` seeds. */
  colours(count, dark) {
    const palette = Array.from({ length: this.#count }, (_, label) => `hsl(${hue(label, this.#count)}, 70%, ${dark ? 64 : 40}%)`);
    const labels = Array.from({ length: count }, (_, seed) => seed % this.#count);
    return { labels, colours: labels.map((label) => palette[label]) };
  }

  #press(label) {
    this.#alone = label;
    [...this.root.querySelectorAll("button")].forEach((one, k) => one.setAttribute("aria-pressed", String(k === label)));
  }
}
