// What colours the map: asked of the server by name, or a column of a CSV file that was read in the page.

import { asked } from "./asking.js";
import { className, h } from "./panel_kit.js";
import { readTable } from "./panel_map_table.js";

const WORDS = { seed: "Seed", psi: "Distance from average", brightness: "Brightness" };
const BUILT_IN = ["sefa-0", "sefa-1", "sefa-2", "sefa-3", "pca-0", "pca-1", "pca-2", "pca-3"];
const PLAIN = "plain";

export class Values {
  #chosen = null; // null: by class where there are classes, else plain
  #table = null;
  #kept = []; // directions that somebody has kept
  #map = null;
  now = null; // {words, names, reach, values}, or null for plain dots

  /** changed() when the colours are others. */
  constructor(stage, settings, { changed }) {
    this.stage = stage;
    this.settings = settings;
    this.changed = changed;
    settings.colours({ choose: (color) => this.#choose(color), open: (file) => this.#open(file) });
    this.#offer();
    document.addEventListener("directions-changed", () => this.#map && this.#directions());
  }

  /** The colour that counts: a word, the name of a direction, or csv:COLUMN. */
  get color() {
    const own = this.settings.byClass ? "class" : PLAIN;
    return this.#chosen === null || (this.#chosen === "class" && !this.settings.byClass) ? own : this.#chosen;
  }

  get needsPictures() {
    return this.color === "brightness" && Boolean(this.now?.values.includes(null));
  }

  /** Be of another map. */
  async of(map) {
    const other = this.#map?.network !== this.stage.network.name;
    this.#map = { network: this.stage.network.name, count: map.x.length, classes: map.classes };
    if (other) await this.#directions();
    await this.#find();
  }

  /** Ask once more: more is known now. */
  async again() {
    await this.#find();
    this.changed();
  }

  async #choose(color) {
    this.#chosen = color === (this.settings.byClass ? "class" : PLAIN) ? null : color;
    await this.again();
  }

  async #open(file) {
    try {
      this.#table = await readTable(file);
      await this.#choose(`csv:${this.#table.columns[0]}`);
    } catch (wrong) {
      this.stage.say(wrong.message);
    }
  }

  async #directions() {
    try {
      const query = new URLSearchParams({ checkpoint: this.stage.network.name, method: "sefa", count: 1 });
      const { directions } = await asked(`directions?${query}`);
      this.#kept = directions.filter(({ kept }) => kept).map(({ name }) => name);
    } catch (wrong) {
      // Without their list those that every network has are offered.
      this.#kept = [];
      console.debug(wrong.message);
    }
    this.#offer();
  }

  async #find() {
    if (!this.#map) return;
    const { color } = this;
    try {
      const found = await this.#values(color);
      if (color === this.color) this.now = found;
    } catch (wrong) {
      this.#chosen = null;
      this.now = this.settings.byClass ? await this.#values("class") : null;
      this.stage.say(wrong.message);
    }
    this.#offer();
  }

  #values(color) {
    const { count, classes } = this.#map;
    if (color === PLAIN) return null;
    if (color === "class") {
      const names = Array.from({ length: classes }, (_, label) => className(this.stage.network, label));
      return { words: "class", names, reach: [0, classes], values: Array.from({ length: count }, (_, seed) => seed % classes) };
    }
    if (color.startsWith("csv:")) return this.#table.values(color.slice(4), count);
    return asked(this.settings.address("map/values", { color }));
  }

  #offer() {
    const named = [...this.#kept, ...BUILT_IN].map((name) => [`Direction ${name}`, name]);
    const columns = (this.#table?.columns ?? []).map((column) => [`${column} (${this.#table.name})`, `csv:${column}`]);
    const words = Object.entries(WORDS).map(([color, said]) => [said, color]);
    const own = this.settings.byClass ? [["Class", "class"]] : [];
    this.settings.offer({ choices: [...own, ["Nothing", PLAIN], ...columns, ...words, ...named], value: this.color, start: this.#chosen === null });
  }
}

/** A hidden field that takes a CSV file; call the result to let a person choose one. */
export function fileField(open) {
  const field = h("input", { type: "file", accept: ".csv,text/csv", hidden: true, "aria-hidden": "true", tabindex: -1 });
  field.addEventListener("change", () => {
    const [file] = field.files;
    field.value = "";
    if (file) open(file);
  });
  document.getElementById("map-panel").append(field);
  return () => field.click();
}
