// The settings of the map: Gradio's own fields, which map they mean, and how the server is asked for it.

import { adorn, nameGroup, NumberField, radioField, resetOf } from "./fields.js";
import { fileField } from "./panel_map_values.js";

export const PARTS = ["#map-samples input", "#map-method input", "#map-classes input", "#map-color input", "#map-csv", "#map-drag input", "#map-show input", "#map-seed input", "#map-go", "#map-again", "#map-walk", "#map-sync", "#map-plot", "#map-rest", "#map-work"];
const SAMPLES = 5000;
const METHOD = "umap";
const AMONG = "umap-points";
const TITLES = {
  pca: "The two directions in which w varies most",
  umap: "Neighbours stay neighbours; made in the background, then kept",
  [AMONG]: "UMAP with the kept pictures among the samples",
};
const DRAGS = {
  zoom: "Drag a rectangle to look closer; double click for the whole map; Ctrl and wheel zooms too",
  move: "Drag the map about",
  select: "Draw around dots to select them",
  path: "Draw a line over the map: the pictures along it become keyframes of a walk",
};

export class Settings {
  samples = SAMPLES;
  method = METHOD;
  classes = "each"; // all of them, coloured, or the stage's "one"

  /** load() for another map, method(), go(seed), drag(mode), show({pictures, density}), again(), walk(on). */
  constructor(stage, act) {
    this.stage = stage;
    this.act = act;
    nameGroup("map-settings", "Settings of the map");
    this.#mountSamples();
    radioField("map-method", { name: "Map by", start: METHOD, titles: TITLES, change: (value) => ((this.method = value), act.method()) });
    const kinds = { each: "Every seed in one of the classes in turn: seed k in class k modulo their number", one: "The stage's class alone" };
    radioField("map-classes", { name: "Classes", start: "each", titles: kinds, change: (value) => ((this.classes = value), act.load()) });
    radioField("map-drag", { name: "Drag", start: "zoom", titles: DRAGS, change: act.drag });
    stage.subscribe((recipe, network) => (document.getElementById("map-classes").hidden = !network?.classes));
    this.#mountShow();
    this.#mountGo();
    this.points(0);
    const again = document.getElementById("map-again");
    again.addEventListener("click", () => act.again());
    again.hidden = true;
    this.button = adorn("map-walk", "walk", { title: "Click two dots to walk from one to the other" });
    this.button.setAttribute("aria-pressed", "false");
    this.button.addEventListener("click", () => this.walk(!this.walking));
  }

  get byClass() {
    return this.classes === "each" && this.stage.network?.classes > 0;
  }

  /** What says which samples there are. */
  get key() {
    const { network } = this.stage;
    return network && `${network.name} ${network.sha} ${this.samples} ${this.byClass ? "each" : this.stage.recipe.label ?? 0}`;
  }

  /** The same, and how they are laid out. */
  get whole() {
    return `${this.key} ${this.method}`;
  }

  get walking() {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  walk(on) {
    this.button.setAttribute("aria-pressed", String(on));
    this.act.walk(on);
  }

  /** A dot as a recipe spells it: {seed}, of a map by class with its label, or {point}. */
  spot(spot) {
    if (typeof spot === "string") return { point: spot };
    return this.byClass ? { seed: spot, label: spot % this.stage.network.classes } : { seed: spot };
  }

  /** The dot that the stage shows, as a list: none where it is between dots or not on the map. */
  here(map) {
    const { seed, point, toward, blend } = this.stage.recipe;
    if (!map || toward || blend.length) return [];
    if (point) return map.points.some(({ name }) => name === point) ? [point] : [];
    return seed < map.x.length ? [seed] : [];
  }

  /** Whether the UMAP that is asked for is not this map. */
  wants({ method, among, points }) {
    if (this.method === "pca") return false;
    return method !== "umap" || (this.method === AMONG && points.length > 0 && !among);
  }

  /** An address of the map: its layout at /map, or what else is asked of it. */
  address(path = "map", more = {}) {
    const method = this.method === "pca" ? "pca" : "umap";
    return `${path}?${this.#query({ checkpoint: this.stage.network.name, samples: this.samples, method, ...(this.method === AMONG ? { points: true } : {}), ...more })}`;
  }

  /** What says whose small pictures are meant; the sha is for the page and its cache, as files are replaced under their names. */
  sheetQuery() {
    const { name, sha } = this.stage.network;
    return String(this.#query({ checkpoint: name, sha }));
  }

  /** The wish of a job that makes this map. */
  get job() {
    const { label, checkpoint } = this.stage.recipe;
    const which = this.byClass ? { by_class: true } : { label };
    return { checkpoint, samples: this.samples, ...which, ...(this.method === AMONG ? { points: true } : {}) };
  }

  again(shown) {
    document.getElementById("map-again").hidden = !shown;
  }

  /** Offer the UMAP with kept pictures where there are any. */
  points(count) {
    const radio = document.querySelector(`#map-method input[value="${AMONG}"]`);
    radio.closest("label").hidden = !count && this.method !== AMONG;
  }

  /** choose(color) of the menu, open(file) of a CSV; `offer` says what there is to choose. */
  colours({ choose, open }) {
    const field = document.getElementById("map-color");
    this.stage.menus.mount("map-color", choose, { sync: "map-sync" });
    this.uncolour = resetOf(field, { name: "Colour by", press: () => choose(this.byClass ? "class" : "plain") });
    const pick = fileField(open);
    adorn("map-csv", "plus", { title: "Colour by a column of a CSV file that has a column named seed; it is read in this page alone" }).addEventListener("click", pick);
    const panel = document.getElementById("map-panel");
    // The page takes a dropped file for a network or a picture; a table is for the map.
    panel.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer?.files ?? [];
      if (!file || !/\.csv$/i.test(file.name)) return;
      event.preventDefault();
      event.stopPropagation();
      document.getElementById("stage-drop").hidden = true;
      open(file);
    });
  }

  offer({ choices, value, start }) {
    this.uncolour.disabled = start;
    this.stage.menus.show("map-color", { choices, value });
  }

  #query(given) {
    const { label } = this.stage.recipe;
    if (this.byClass) given.by_class = true;
    else if (label != null) given.label = label;
    return new URLSearchParams(given);
  }

  #mountSamples() {
    const samples = document.getElementById("map-samples");
    const choose = (count) => {
      this.samples = Number(count);
      back.disabled = this.samples === SAMPLES;
      this.act.load();
    };
    const back = resetOf(samples, { name: "Samples", press: () => (this.stage.menus.show("map-samples", { value: String(SAMPLES) }), choose(SAMPLES)) });
    this.stage.menus.mount("map-samples", choose, { sync: "map-sync" });
    // What one menu offers goes over to Gradio with what all of them show.
    this.stage.menus.show("map-samples", { value: String(SAMPLES) });
  }

  #mountShow() {
    const root = nameGroup("map-show", "Show");
    const [pictures, density] = root.querySelectorAll("input");
    pictures.closest("label").title = "Small pictures on the dots, as many as there is room for, once you have zoomed in";
    density.closest("label").title = "Shade the map by how close its dots lie";
    const back = resetOf(root, { name: "Show", press: () => [pictures, density].forEach((tick, k) => tick.checked === (k === 0) || tick.click()) });
    root.addEventListener("change", () => {
      back.disabled = pictures.checked && !density.checked;
      this.act.show({ pictures: pictures.checked, density: density.checked });
    });
  }

  #mountGo() {
    const go = new NumberField("map-seed", { name: "Seed on the map", change: (seed) => go.write(seed) });
    go.write(0);
    // The stage's own seed stands there, unless somebody is typing another.
    this.stage.subscribe(({ seed, point, toward, blend }) => {
      const plain = !point && !toward && !blend.length && seed < this.samples;
      if (plain && document.activeElement !== go.number) go.write(seed);
    });
    const bring = () => go.number.value !== "" && this.act.go(Math.min(Math.max(0, Math.round(go.number.valueAsNumber)), this.samples - 1));
    go.number.addEventListener("keydown", (event) => event.key === "Enter" && bring());
    adorn("map-go", "stage", { title: "Bring this seed to the stage" }).addEventListener("click", bring);
  }
}
