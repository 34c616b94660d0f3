// W space as a map: PCA at once, UMAP when it is ready; hover shows a picture, a click brings it to the stage.

import { adorn, nameGroup, NumberField, radioField, resetOf } from "./fields.js";
import { JobBox } from "./panel_jobs.js";
import { className, h, hand, likeStage, onlySeed, openTab, present, shaped, Thumbs, whenSeen } from "./panel_kit.js";
import { Legend } from "./panel_map_legend.js";
import { loadPlotly, Plot } from "./panel_plot.js";

const PARTS = ["#map-samples input", "#map-method input", "#map-classes input", "#map-seed input", "#map-go", "#map-again", "#map-walk", "#map-sync", "#map-rest"];
const SAMPLES = 5000;
const METHOD = "umap";
const TITLES = { pca: "The two directions in which w varies most", umap: "Neighbours stay neighbours; made in the background, then kept" };
const NEAR = 8;
const MOST_SHOWN = 24;
const PACE = 50; // ms between two questions where the stage is

export function mount(stage) {
  present(PARTS, () => {
    const root = document.getElementById("map-panel");
    shaped(stage, root);
    const atlas = new Atlas(stage);
    document.getElementById("map-rest").append(...atlas.elements);
    whenSeen(root, (now) => atlas.seen(now));
  });
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  const said = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(said.error);
  return said;
}

class Atlas {
  samples = SAMPLES;
  method = METHOD;
  classes = "each"; // all of them, coloured, or the stage's "one"
  shown = null;
  first = null; // the first of the two clicks of a walk
  inSight = false;
  placing = { busy: false, again: false };
  made = new Set(); // networks whose UMAP was started, so that a cancelled one is not started again by itself

  constructor(stage) {
    this.stage = stage;
    this.job = new JobBox(stage);
    this.thumbs = new Thumbs(stage, { size: 112 });
    this.status = h("p", { class: "hint", role: "status" });
    this.near = h("div", { class: "strip near", role: "group", "aria-label": "Nearest to the stage" });
    this.chosen = h("div", { class: "strip chosen", role: "group", "aria-label": "Selected seeds", hidden: true });
    this.chosenWords = h("p", { class: "hint", hidden: true });
    this.legend = new Legend({ choose: (label) => this.plot.only(label) });
    this.plot = new Plot({ hover: (seed) => this.#picture(seed), click: (seed) => this.#click(seed), select: (seeds) => this.#select(seeds) });
    this.plot.root.append(this.status);
    this.#mountSettings();
    stage.subscribe((recipe, network) => this.#stageMoved(network));
    // What was drawn, not what was asked for: the server may refuse that.
    document.addEventListener("drawn", () => this.shown === this.#key && this.#place());
  }

  #mountSettings() {
    nameGroup("map-settings", "Settings of the map");
    const samples = document.getElementById("map-samples");
    const choose = (count) => {
      this.samples = Number(count);
      back.disabled = this.samples === SAMPLES;
      this.#load();
    };
    const back = resetOf(samples, { name: "Samples", press: () => (this.stage.menus.show("map-samples", { value: String(SAMPLES) }), choose(SAMPLES)) });
    this.stage.menus.mount("map-samples", choose, { sync: "map-sync" });
    radioField("map-method", { name: "Map by", start: METHOD, titles: TITLES, change: (value) => this.#method(value) });
    const kinds = { each: "Every seed in one of the classes in turn: seed k in class k modulo their number", one: "The stage's class alone" };
    radioField("map-classes", { name: "Classes", start: "each", titles: kinds, change: (value) => ((this.classes = value), this.#load()) });
    this.stage.subscribe((recipe, network) => (document.getElementById("map-classes").hidden = !network?.classes));
    const go = new NumberField("map-seed", { name: "Seed on the map", change: (seed) => go.write(seed) });
    go.write(0);
    // The stage's own seed stands there, unless somebody is typing another.
    this.stage.subscribe(({ seed, point, toward, blend }) => {
      const plain = !point && !toward && !blend.length && seed < this.samples;
      if (plain && document.activeElement !== go.number) go.write(seed);
    });
    const bring = () => go.number.value !== "" && this.#click(Math.min(Math.max(0, Math.round(go.number.valueAsNumber)), this.samples - 1));
    go.number.addEventListener("keydown", (event) => event.key === "Enter" && bring());
    adorn("map-go", "stage", { title: "Bring this seed to the stage" }).addEventListener("click", bring);
    this.again = document.getElementById("map-again");
    this.again.addEventListener("click", () => this.#umap());
    this.again.hidden = true;
    this.walk = adorn("map-walk", "walk", { title: "Click two dots to walk from one to the other" });
    this.walk.setAttribute("aria-pressed", "false");
    this.walk.addEventListener("click", () => this.#walkMode(this.walk.getAttribute("aria-pressed") !== "true"));
  }

  get elements() {
    return [
      h("div", { class: "map-body" }, this.plot.root, h("div", { class: "beside" }, this.legend.root, this.chosenWords, this.chosen, h("span", { class: "label" }, "Nearest to the stage"), this.near)),
      this.job.root,
    ];
  }

  seen(now) {
    this.inSight = now;
    if (!now) return this.plot.leave();
    this.#load();
    this.#place();
  }

  get #key() {
    const { network } = this.stage;
    return network && `${network.name} ${network.sha} ${this.samples} ${this.byClass ? "each" : this.stage.recipe.label ?? 0}`;
  }

  get byClass() {
    return this.classes === "each" && this.stage.network?.classes > 0;
  }

  /** A dot as {seed}, of a map by class with its label. */
  #spot(seed) {
    return this.byClass ? { seed, label: seed % this.stage.network.classes } : { seed };
  }

  /** What the stage would show at a dot. */
  #recipe(seed) {
    return { ...onlySeed(this.stage.recipe, seed), ...this.#spot(seed) };
  }

  #stageMoved(network) {
    if (!this.inSight || !network) return;
    if (this.shown !== this.#key) this.#load();
  }

  #address() {
    const { label } = this.stage.recipe;
    const query = { checkpoint: this.stage.network.name, samples: this.samples, method: this.method };
    if (this.byClass) query.by_class = true;
    else if (label != null) query.label = label;
    return `/map?${new URLSearchParams(query)}`;
  }

  async #load() {
    const key = this.#key;
    if (!key || this.shown === key) return;
    this.shown = key;
    this.#select([]);
    this.status.textContent = "Laying out the map…";
    try {
      const [map] = await Promise.all([ask(this.#address()), loadPlotly()]);
      if (this.#key !== key) return;
      this.#draw(map);
      if (map.method !== this.method && !this.made.has(key)) this.#umap();
    } catch (wrong) {
      this.shown = null;
      this.status.textContent = wrong.message;
      this.stage.say(wrong.message);
    }
  }

  #draw(map) {
    this.map = map;
    this.legend.show(map.classes ? this.stage.network : null);
    this.plot.draw(map, map.classes ? (dark) => this.legend.colours(map.x.length, dark) : null);
    this.again.hidden = this.method !== "umap" || map.method === "umap" || this.job.busy;
    this.status.textContent = `${map.x.length.toLocaleString("en")} seeds by ${map.method.toUpperCase()}`;
    this.#place();
  }

  async #umap() {
    const key = this.#key;
    this.made.add(key);
    this.again.hidden = true;
    const { label, checkpoint } = this.stage.recipe;
    const which = this.byClass ? { by_class: true } : { label };
    const end = await this.job.run({ verb: "map", checkpoint, samples: this.samples, ...which }, { words: "Making the UMAP map", take: false });
    this.again.hidden = end.state === "done" || this.#key !== key;
    if (end.state === "done" && this.#key === key) {
      fetch(end.url.replace(/\/file$/, ""), { method: "DELETE" });
      if (this.method === "umap") this.#draw(await ask(this.#address()));
    }
  }

  async #method(value) {
    this.method = value;
    try {
      const map = await ask(this.#address());
      this.#draw(map);
      if (map.method !== value && !this.made.has(this.#key)) this.#umap();
    } catch (wrong) {
      this.stage.say(wrong.message);
    }
  }

  #picture(seed) {
    const { label } = this.#spot(seed);
    const words = label == null ? `seed ${seed}` : `seed ${seed}, ${className(this.stage.network, label)}`;
    return { seed, words, picture: (signal) => this.stage.picture(this.#recipe(seed), { size: 160, signal }) };
  }

  #click(seed) {
    if (this.walk.getAttribute("aria-pressed") !== "true") {
      this.stage.show(this.#recipe(seed));
    } else if (this.first === null) {
      this.first = seed;
      this.stage.show(this.#recipe(seed));
      this.status.textContent = `From seed ${seed}: click where the walk ends.`;
    } else {
      openTab("Interpolate");
      hand("walk-between", [this.first, seed].map((one) => this.#spot(one)));
      this.#walkMode(false);
    }
  }

  #walkMode(on) {
    this.walk.setAttribute("aria-pressed", String(on));
    this.first = null;
    if (on) this.status.textContent = "Click the dot where the walk begins.";
    else if (this.map) this.status.textContent = `${this.map.x.length.toLocaleString("en")} seeds by ${this.map.method.toUpperCase()}`;
  }

  #select(seeds) {
    const shown = seeds.slice(0, MOST_SHOWN);
    this.chosenWords.hidden = this.chosen.hidden = !seeds.length;
    this.chosenWords.textContent = seeds.length > shown.length ? `${seeds.length.toLocaleString("en")} seeds selected, the first ${shown.length} shown:` : `${seeds.length} seeds selected:`;
    this.#fill(this.chosen, shown);
  }

  #fill(strip, seeds) {
    while (strip.children.length > seeds.length) this.thumbs.drop(strip.lastChild);
    while (strip.children.length < seeds.length) {
      const thumb = this.thumbs.make({ label: "", press: (recipe) => this.#click(recipe.seed) });
      thumb.append(h("span", { class: "seed" }));
      strip.append(thumb);
    }
    seeds.forEach((seed, k) => {
      const thumb = strip.children[k];
      thumb.setAttribute("aria-label", `Seed ${seed} to the stage`);
      thumb.title = `Seed ${seed} to the stage`;
      thumb.lastChild.textContent = seed;
      this.thumbs.set(thumb, { ...likeStage(this.stage.recipe), ...this.#spot(seed) });
    });
  }

  /** Ask where the stage is on the map: one question under way, the newest wins. */
  async #place() {
    if (!this.inSight || !this.map || this.shown !== this.#key) return;
    if (this.placing.busy) return void (this.placing.again = true);
    this.placing = { busy: true, again: false };
    try {
      const address = `/map/place?${new URLSearchParams({ samples: this.samples, method: this.map.method, nearest: NEAR, ...(this.byClass ? { by_class: true } : {}) })}`;
      const found = await ask(address, { method: "POST", body: document.getElementById("stage").dataset.recipe });
      this.plot.mark(found.x, found.y);
      this.#fill(this.near, found.nearest);
    } catch (wrong) {
      this.plot.mark(null);
      console.debug(wrong.message);
    }
    await new Promise((wake) => setTimeout(wake, PACE));
    const { again } = this.placing;
    this.placing = { busy: false, again: false };
    if (again) this.#place();
  }
}
