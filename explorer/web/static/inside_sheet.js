// The channels as one picture with a cursor, and the row of the picture becoming the picture.

import { h } from "./panel_kit.js";

export class Sheet {
  #layout = null;
  #at = null; // place on the sheet, or null

  /** point(channel) when another one is pointed at; null for none. */
  constructor({ point }) {
    this.point = point;
    this.canvas = h("canvas", { width: 1, height: 1, "aria-hidden": "true" });
    this.frame = h("div", { class: "inside-cursor", hidden: true });
    // One thing of many places that the arrow keys go through: what a slider is to people who hear the page.
    this.surface = h("div", { class: "inside-sheet", tabindex: 0, role: "slider", "aria-label": "Channel", "aria-valuemin": 0, "aria-valuenow": 0, "aria-valuetext": "none chosen yet" }, this.canvas, this.frame);
    this.root = h("div", { class: "inside-surface" }, this.surface);
    this.surface.addEventListener("pointermove", (event) => this.#hover(event));
    this.surface.addEventListener("pointerdown", (event) => this.#hover(event));
    this.surface.addEventListener("pointerleave", () => document.activeElement !== this.surface && this.#go(null));
    this.surface.addEventListener("focus", () => this.#at ?? this.#go(0));
    this.surface.addEventListener("blur", () => this.#go(null));
    this.surface.addEventListener("keydown", (event) => this.#key(event));
  }

  /** The room there is for it, in pixels of the page. */
  get width() {
    return Math.max(120, this.root.clientWidth);
  }

  /** The channel that is pointed at. */
  get channel() {
    return this.#at === null ? null : (this.#layout?.order[this.#at] ?? null);
  }

  draw(bitmap, layout) {
    const dots = devicePixelRatio || 1;
    this.#layout = layout;
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.canvas.style.width = `${bitmap.width / dots}px`;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    this.surface.setAttribute("aria-valuemax", Math.max(...layout.order));
    if (this.#at !== null) this.#go(Math.min(this.#at, layout.order.length - 1), { quiet: true });
  }

  /** Say what a channel is. */
  name(channel, words) {
    this.surface.setAttribute("aria-valuenow", channel);
    this.surface.setAttribute("aria-valuetext", words);
  }

  /** Point at a channel from elsewhere. */
  to(channel) {
    const place = this.#layout?.order.indexOf(channel) ?? -1;
    this.#go(place < 0 ? null : place);
  }

  #go(place, { quiet = false } = {}) {
    this.#at = place;
    this.frame.hidden = place === null;
    if (place !== null) {
      const { columns, cell, gap } = this.#layout;
      const dots = devicePixelRatio || 1;
      const [row, column] = [Math.floor(place / columns), place % columns];
      Object.assign(this.frame.style, {
        left: `${(column * (cell[1] + gap)) / dots}px`, top: `${(row * (cell[0] + gap)) / dots}px`,
        width: `${cell[1] / dots}px`, height: `${cell[0] / dots}px`,
      });
    }
    if (!quiet) this.point(this.channel);
  }

  #hover(event) {
    if (!this.#layout) return;
    const { columns, cell, gap, order } = this.#layout;
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale) / (cell[1] + gap));
    const place = Math.floor(((event.clientY - box.top) * scale) / (cell[0] + gap)) * columns + column;
    const inside = column >= 0 && column < columns && place >= 0 && place < order.length;
    if (inside ? place !== this.#at : this.#at !== null) this.#go(inside ? place : null);
  }

  #key(event) {
    if (!this.#layout || event.ctrlKey || event.altKey || event.metaKey) return;
    const { columns, order } = this.#layout;
    const at = this.#at ?? 0;
    const ways = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: order.length - 1 };
    if (!(event.key in ways)) return;
    event.preventDefault();
    this.#go(Math.min(order.length - 1, Math.max(0, ways[event.key])));
  }
}

/** The picture so far, a button for each size. */
export class Growing {
  #buttons = [];

  /** choose(level) when a size is pressed. */
  constructor({ choose }) {
    this.choose = choose;
    this.root = h("div", { class: "inside-growing", role: "group", "aria-label": "The picture so far, at each size" });
  }

  get width() {
    return Math.max(120, this.root.clientWidth - 8);
  }

  /** One button a size. */
  sizes(layers) {
    const sizes = new Map(layers.map(({ level, size }) => [level, size]));
    const made = layers.some(({ kind, level }) => kind === "picture" && level === 0);
    const words = made ? "the picture so far" : "what its channels have most in common";
    this.#buttons = [...sizes].map(([level, size]) => {
      const shown = size.join(" × ");
      const canvas = h("canvas", { width: 1, height: 1, "aria-hidden": "true" });
      const element = h("button", { type: "button", title: `${shown}: ${words}`, "aria-label": `Layers of ${shown}`, onclick: () => this.choose(level) }, canvas, h("span", {}, shown));
      return { element, canvas, level };
    });
    this.root.replaceChildren(...this.#buttons.map(({ element }) => element));
  }

  /** Pixels of the longer side that each picture may have. */
  cell([, , height, width]) {
    const each = Math.min(104, (this.width - 8 * (this.#buttons.length - 1)) / this.#buttons.length - 10);
    return Math.max(16, Math.round(((devicePixelRatio || 1) * each * Math.max(height, width)) / width));
  }

  draw(bitmap, chosen) {
    const count = this.#buttons.length;
    const width = (bitmap.width + 2) / count - 2;
    this.#buttons.forEach(({ element, canvas, level }, k) => {
      Object.assign(canvas, { width, height: bitmap.height });
      canvas.style.width = `${width / (devicePixelRatio || 1)}px`;
      canvas.getContext("2d").drawImage(bitmap, -k * (width + 2), 0);
      element.setAttribute("aria-pressed", String(level === chosen));
    });
    bitmap.close();
  }
}
