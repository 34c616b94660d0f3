// What of a layer is shown: which layer, how many channels, in which order and gray levels.

import { button, h, icon, slider } from "./panel_kit.js";

const COUNT = 32;
const MOST = 256;
const SORTS = [["index", "by number"], ["deviation", "by deviation"]];
const SCALES = [["common", "all alike"], ["own", "each its own"]];
const LEAST = 26; // pixels of the page that a channel is wide at least
const TALLEST = 330; // pixels of the page that the channels take together, if they can

/** A layer as people read it in the menu. */
function named(layer) {
  const channels = layer.kind === "picture" || layer.kind === "rgb" ? "" : `, ${layer.channels} channels`;
  return `${layer.size.join(" × ")}, ${layer.words}${channels}`;
}

/** Columns and width of a channel so that all are as large as they can be; they are enlarged by whole multiples alone. */
function layout([height, width], count, { room, most, least }) {
  let best = null;
  for (let columns = 1; columns <= Math.max(1, Math.min(count, Math.floor(room / least))); columns++) {
    const across = Math.floor((room - 2 * (columns - 1)) / columns);
    const wide = across >= width ? across - (across % width) : across;
    const tall = Math.ceil(count / columns) * ((wide * height) / width + 2);
    const full = count % columns === 0;
    const better = !best || (tall <= most ? best.tall > most || wide > best.width || (wide === best.width && (full || !best.full)) : tall < best.tall);
    if (better) best = { columns, width: wide, tall, full };
  }
  return best;
}

export class InsideSettings {
  #layers = [];
  #first = 0;
  #layer = null;

  /** change() when anything but the layer changed; choose(layer). */
  constructor({ change, choose }) {
    this.change = change;
    this.range = h("input", { type: "range", min: 0, step: 1, "aria-label": "Layer, coarse to fine", oninput: () => choose(this.#layers[this.range.valueAsNumber]) });
    this.menu = h("select", { "aria-label": "Layer by name", onchange: () => choose(this.#layers[this.menu.selectedIndex]) });
    this.back = button("", { icon: "reset", kind: "icon reset", label: "Reset layer", press: () => choose(this.#start()) });
    this.count = slider({ label: "Channels", min: 1, max: MOST, value: COUNT, oninput: () => this.#turn(0) });
    this.sort = this.#select("Order", SORTS);
    this.scale = this.#select("Gray levels", SCALES);
    const layer = h(
      "div",
      { class: "control", role: "group", "aria-label": "Layer" },
      h("div", { class: "row" }, h("span", { class: "label" }, "Layer"), this.back, h("span", { class: "spring" }), h("span", { class: "hint" }, "coarse to fine")),
      h("div", { class: "row" }, this.range, this.menu),
    );
    this.root = h("div", { class: "inside-settings" }, layer, this.count.root, this.sort.root, this.scale.root);
    this.words = h("span", { class: "hint" });
    this.previous = button("", { icon: "left", kind: "icon", label: "Channels before", press: () => this.#turn(this.#first - this.count.value) });
    this.next = button("", { icon: "right", kind: "icon", label: "Channels after", press: () => this.#turn(this.#first + this.count.value) });
    this.pages = h("div", { class: "row inside-pages" }, this.previous, this.words, this.next);
  }

  /** A native menu with its reset. */
  #select(label, choices) {
    const select = h("select", { "aria-label": label, onchange: () => told() }, choices.map(([value, words]) => h("option", { value }, words)));
    const back = h("button", { type: "button", class: "icon reset", "aria-label": `Reset ${label.toLowerCase()}`, title: `Back to ${choices[0][1]}`, disabled: true, onclick: () => ((select.value = choices[0][0]), told()) }, icon("reset"));
    const told = () => {
      back.disabled = select.value === choices[0][0];
      this.#turn(0);
    };
    const root = h("div", { class: "control", role: "group", "aria-label": label }, h("div", { class: "row" }, h("span", { class: "label" }, label), back), select);
    return { root, select };
  }

  #start() {
    const convs = this.#layers.filter(({ kind }) => kind === "conv");
    return convs[Math.round(0.5 * (convs.length - 1))];
  }

  #turn(first) {
    this.#first = Math.max(0, first);
    this.change();
  }

  /** Offer these layers. */
  layers(layers) {
    this.#layers = layers;
    this.range.max = layers.length - 1;
    this.menu.replaceChildren(...layers.map((layer) => h("option", {}, named(layer))));
    this.back.title = `Back to ${named(this.#start())}`;
  }

  /** Show that this layer is chosen. */
  choose({ name }) {
    const index = this.#layers.findIndex((layer) => layer.name === name);
    if (this.#layer !== name) this.#first = 0;
    this.#layer = name;
    this.range.value = index;
    this.range.style.setProperty("--fill", `${(100 * index) / Math.max(1, this.#layers.length - 1)}%`);
    this.range.setAttribute("aria-valuetext", named(this.#layers[index]));
    this.menu.selectedIndex = index;
    this.back.disabled = name === this.#start().name;
  }

  /** How a layer is to be laid out in so many pixels of the page. */
  plate({ channels, size }, room) {
    const first = Math.min(this.#first, channels - 1);
    const count = Math.min(this.count.value, channels - first);
    const dots = devicePixelRatio || 1;
    const { columns, width } = layout(size, count, { room: room * dots, most: TALLEST * dots, least: LEAST * dots });
    const cell = Math.min(1024, Math.max(8, Math.ceil((width * Math.max(...size)) / size[1])));
    return { first, count, columns, cell, sort: this.sort.select.value, scale: this.scale.select.value };
  }

  /** Say which channels are shown, and whether there are others. */
  shown(count, { channels }) {
    this.pages.hidden = channels === count;
    this.words.textContent = `${this.#first + 1} to ${this.#first + count} of ${channels} channels`;
    this.previous.disabled = this.#first === 0;
    this.next.disabled = this.#first + count >= channels;
  }
}
