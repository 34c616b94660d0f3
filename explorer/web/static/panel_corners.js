// The sheet between four corners: weights linear in w, every cell a picture to click.

import { nameGroup, textField, wholeField } from "./fields.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, likeStage, onlySeed, parseSpots, rested, showClasses, spotText, Thumbs, whenSeen } from "./panel_kit.js";
import { cornerOf, corners } from "./paths.js";
import { full, short } from "./recipe.js";

export const CORNERS_PARTS = ["#corner-seeds input", "#corner-cells [type=range]", "#corners-rest"];
const NAMES = ["top left", "top right", "bottom left", "bottom right"];

export function mountCorners(stage) {
  new Corners(stage);
}

class Corners {
  spots = [3, 9, 27, 41].map((seed) => ({ seed }));
  steps = 5;
  #cells = [];
  #seen = false;

  constructor(stage) {
    this.stage = stage;
    this.thumbs = new Thumbs(stage, { size: 112 });
    this.job = new JobBox(stage);
    this.later = rested(() => this.#draw(), 150);
    this.#mountFields();
    this.#mountGrid();
    stage.subscribe((recipe, network) => {
      if (network && this.spots.some(({ label }) => label >= network.classes)) this.#to(this.spots.map(({ seed }) => ({ seed })));
      this.#classes();
    });
    const settled = rested(() => this.#draw(), 400);
    stage.subscribe(() => settled());
  }

  #mountFields() {
    this.field = textField("corner-seeds", {
      name: "Corner seeds",
      hint: "Top left, top right, bottom left, bottom right.",
      read: (text) => {
        const next = parseSpots(text, { most: 4, classes: this.stage.network?.classes });
        if (next.length !== 4) throw new Error(`A sheet has four corners; these are ${next.length}`);
        this.#be(next);
      },
    });
    this.menus = NAMES.map((name, k) => {
      const relabel = () => this.#to(this.spots.map((spot, place) => (place === k ? { ...spot, label: Number(menu.value) } : spot)));
      const menu = h("select", { "aria-label": `Class ${name}`, title: `Class ${name}`, hidden: true, onchange: relabel });
      return menu;
    });
    wholeField("corner-cells", { name: "Cells a side", reach: [2, 12], most: 40, start: this.steps, change: (value) => ((this.steps = value), this.later()) });
  }

  #mountGrid() {
    this.grid = h("div", { class: "matrix sheet", role: "group", "aria-label": "Sheet between four corners" });
    const press = () => this.job.run(this.#wish, { words: `Drawing ${this.steps * this.steps} cells` });
    const save = button("Save PNG", { icon: "save", press });
    document.getElementById("corners-rest").append(
      h("div", { class: "row wrap corner-classes" }, this.menus),
      h("div", { class: "scroller" }, this.grid),
      h("div", { class: "row wrap" }, h("p", { class: "hint" }, "Click a cell to bring it to the stage."), h("span", { class: "spring" }), save),
      this.job.root,
    );
    whenSeen(nameGroup("corners", "Four corners", "region"), (now) => ((this.#seen = now), this.#draw()));
  }

  get #recipes() {
    return this.spots.map(({ seed, label }) => ({ ...onlySeed(this.stage.recipe, seed), ...(label == null ? {} : { label }) }));
  }

  /** What the sheet is, as a job. */
  get #wish() {
    const base = { verb: "bilinear", steps: this.steps };
    const { recipe } = this.stage;
    if (this.spots.every(({ label }) => label == null)) return { ...base, ...likeStage(recipe), seeds: this.spots.map(spotText).join(",") };
    return { ...base, checkpoint: recipe.checkpoint, recipes: this.#recipes.map((one) => short(full(one))) };
  }

  #be(spots) {
    this.spots = spots;
    this.#classes();
    this.later();
  }

  #to(spots) {
    this.field.write(spots.map(spotText).join(", "));
    this.#be(spots);
  }

  #classes() {
    const { recipe, network } = this.stage;
    this.menus.forEach((menu, k) => showClasses(menu, network, this.spots[k].label ?? recipe.label ?? 0));
  }

  #draw() {
    if (!this.#seen || !this.stage.network) return;
    const weights = corners(this.steps);
    const cells = this.#cells;
    this.grid.style.setProperty("--columns", this.steps);
    cells.splice(weights.length).forEach((cell) => this.thumbs.drop(cell));
    while (cells.length < weights.length) {
      cells.push(this.thumbs.make({ label: "cell", press: (recipe) => this.stage.show(recipe), kind: "thumb cell" }));
      this.grid.append(cells.at(-1));
    }
    const recipes = this.#recipes;
    cells.forEach((cell, k) => {
      const words = wordsOf(this.spots, weights[k]) ?? `row ${Math.floor(k / this.steps) + 1}, column ${(k % this.steps) + 1}`;
      cell.setAttribute("aria-label", words);
      cell.title = `To the stage: ${words}`;
      this.thumbs.set(cell, cornerOf(recipes, weights[k]));
    });
  }
}

function wordsOf(spots, weights) {
  const corner = weights.indexOf(1);
  return corner < 0 ? null : `${NAMES[corner]}, seed ${spotText(spots[corner])}`;
}
