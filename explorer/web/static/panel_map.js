// W space as a map: PCA at once, UMAP when it is ready; hover shows a picture, a click brings it to the stage.

import { asked } from "./asking.js";
import { JobBox } from "./panel_jobs.js";
import { button, className, h, hand, likeStage, onlySeed, openTab, present, shaped, Thumbs, whenSeen } from "./panel_kit.js";
import { painted, told } from "./panel_map_colour.js";
import { Faces } from "./panel_map_faces.js";
import { fill, Groups } from "./panel_map_groups.js";
import { Legend } from "./panel_map_legend.js";
import { Over } from "./panel_map_over.js";
import { PARTS, Settings } from "./panel_map_settings.js";
import { Drawing, Sheets } from "./panel_map_sheets.js";
import { Values } from "./panel_map_values.js";
import { loadPlotly, Plot } from "./panel_plot.js";
import { full } from "./recipe.js";

const NEAR = 24; // asked for; the strip shows the first
const NEAR_SHOWN = 8;
const PACE = 50; // ms between two questions where the stage is

export function mount(stage) {
  present(PARTS, () => {
    const root = document.getElementById("map-panel");
    shaped(stage, root);
    const atlas = new Atlas(stage);
    atlas.mount();
    whenSeen(root, (now) => atlas.seen(now));
  });
}

class Atlas {
  shown = null; // the map that is asked for
  drawn = null; // the one that is seen
  turn = 0; // how often one was asked for
  first = null; // the first of the two clicks of a walk
  inSight = false;
  nearest = [];
  placing = { busy: false, again: false };
  made = new Set(); // maps whose UMAP was started, so that a cancelled one is not started again by itself

  constructor(stage) {
    this.stage = stage;
    this.job = new JobBox(stage);
    this.thumbs = new Thumbs(stage, { size: 112 });
    this.status = h("p", { class: "hint", role: "status" });
    this.hint = h("p", { class: "hint near-hint", hidden: true }, "Zoom in for more pictures");
    this.near = h("div", { class: "strip near", role: "group", "aria-label": "Nearest to the stage" });
    this.legend = new Legend({ choose: (label) => this.plot.only(label) });
    this.plot = new Plot({
      hover: (spot) => this.#picture(spot),
      click: (spot) => this.#click(spot),
      select: (spots) => this.groups.select(spots),
      drawing: (places) => this.#drawing(places),
      drawn: (places) => places && this.#path({ line: places }),
    });
    this.plot.root.append(this.status, this.hint);
    this.sheets = new Sheets({ changed: () => this.over.draw() });
    this.faces = new Faces(stage, { recipe: (seed) => this.#acts().bare(seed), changed: () => this.over.draw() });
    this.over = new Over(this.plot, { sheets: this.sheets, faces: this.faces, shown: ({ near }) => this.#picturesShown(near) });
    this.groups = new Groups(stage, this.#acts());
    this.settings = new Settings(stage, {
      load: () => this.#load(),
      method: () => this.#redraw(),
      go: (seed) => this.#click(seed),
      drag: (mode) => this.plot.mode(mode),
      show: (what) => this.#show(what),
      again: () => this.#umap(),
      walk: (on) => this.#walkMode(on),
    });
    this.values = new Values(stage, this.settings, { changed: () => this.#recolour(), known: () => this.map?.x.length ?? 0 });
    this.drawing = new Drawing(stage, { settings: this.settings, sheets: this.sheets, values: this.values });
    this.#show({ pictures: true, density: false });
    stage.subscribe((recipe, network) => this.#stageMoved(network));
    // What was drawn, not what was asked for: the server may refuse that.
    document.addEventListener("drawn", () => this.#place());
    document.addEventListener("points-changed", () => this.map && this.inSight && this.#redraw());
  }

  #acts() {
    return {
      recipe: (spot) => this.#recipe(spot),
      bare: (spot) => ({ checkpoint: this.stage.network.name, ...this.settings.spot(spot) }),
      like: (spot) => ({ ...likeStage(this.stage.recipe), ...this.settings.spot(spot), ...(typeof spot === "string" ? { psi: 1 } : {}) }),
      named: (spot) => (typeof spot === "string" ? spot : `seed ${spot}`),
      click: (spot) => this.#click(spot),
      here: () => this.settings.here(this.map),
      walk: (spots) => this.#path({ seeds: spots.filter((spot) => typeof spot === "number") }),
      clear: () => (this.plot.unselect(), this.groups.select([])),
      changed: (groups) => ((this.over.groups = groups), this.over.draw()),
    };
  }

  /** Put everything where the panel has a place for it. */
  mount() {
    const words = `Select the ${NEAR} nearest to the stage in W`;
    const select = button("", { icon: "plus", kind: "icon", label: words, title: words, press: () => this.groups.select(this.nearest) });
    const heading = h("div", { class: "row" }, h("span", { class: "label" }, "Nearest to the stage"), h("span", { class: "spring" }), select);
    document.getElementById("map-plot").append(this.plot.root);
    document.getElementById("map-rest").append(this.legend.root, this.groups.root, heading, this.near);
    document.getElementById("map-work").append(this.job.root, this.drawing.root);
    const look = new ResizeObserver(() => this.inSight && this.#fit());
    for (const id of ["panels", "map-settings"]) look.observe(document.getElementById(id));
  }

  /** Take the height that the panel has left, so that the whole map is in sight. */
  #fit() {
    const [body, panel] = ["map-body", "panels"].map((id) => document.getElementById(id));
    const above = body.getBoundingClientRect().top - panel.getBoundingClientRect().top + panel.scrollTop;
    body.style.setProperty("--room", `${Math.round(panel.clientHeight - above - 28)}px`);
  }

  seen(now) {
    this.inSight = now;
    if (!now) return this.plot.leave();
    this.#fit();
    this.#load();
    this.#place();
  }

  /** What the stage would show at a dot; a kept picture as it was found. */
  #recipe(spot) {
    const own = this.settings.spot(spot);
    return typeof spot === "string" ? { ...onlySeed(this.stage.recipe, 0), ...own, psi: 1 } : { ...onlySeed(this.stage.recipe, spot), ...own };
  }

  #stageMoved(network) {
    if (!this.inSight || !network) return;
    if (this.shown !== this.settings.key) this.#load();
  }

  async #load() {
    const { key } = this.settings;
    if (!key || this.shown === key) return;
    this.groups.empty();
    this.status.textContent = "Laying out the map…";
    await this.#redraw();
  }

  /** Ask for the map and draw it, unless another one is asked for meanwhile: answers come in any order. */
  async #redraw() {
    if (!this.settings.key) return;
    const turn = ++this.turn;
    this.shown = this.settings.key;
    const overtaken = () => turn !== this.turn || this.shown !== this.settings.key;
    try {
      const [map] = await Promise.all([asked(this.settings.address()), loadPlotly()]);
      if (!overtaken()) await this.values.of(map);
      if (!overtaken()) {
        await this.#draw(map);
        this.#begin(map);
      } else if (turn === this.turn) {
        this.shown = null;
      }
    } catch (wrong) {
      if (turn !== this.turn) return;
      this.shown = null;
      this.status.textContent = wrong.message;
      this.stage.say(wrong.message);
    }
  }

  async #draw(map) {
    this.map = map;
    this.drawn = this.shown;
    this.settings.points(map.points.length);
    this.plot.draw(map, this.#paint());
    this.faces.of(this.drawn);
    this.over.over(map);
    this.#legend();
    this.settings.again(this.settings.wants(map) && !this.job.busy);
    this.drawing.offer();
    this.#say();
    this.#place();
    if (this.over.pictures) this.sheets.of(this.settings.sheetQuery());
  }

  #say() {
    const { x, method, among, points } = this.map;
    const more = points.length ? `, ${points.length} kept ${points.length === 1 ? "picture" : "pictures"}${among && method === "umap" ? " among them" : ""}` : "";
    this.status.textContent = `${x.length.toLocaleString("en")} seeds by ${method.toUpperCase()}${more}`;
  }

  /** Start the UMAP where it is wanted and was not cancelled. */
  #begin(map) {
    if (this.settings.wants(map) && !this.made.has(this.settings.whole)) this.#umap();
  }

  async #umap() {
    const { whole, job } = this.settings;
    this.made.add(whole);
    this.settings.again(false);
    const end = await this.job.run({ verb: "map", ...job }, { words: "Making the UMAP map", take: false });
    this.settings.again(end.state !== "done" && this.settings.whole === whole);
    if (end.state !== "done") return;
    fetch(end.url.replace(/\/file$/, ""), { method: "DELETE" });
    if (this.settings.whole === whole) this.#redraw();
  }

  #paint() {
    const { now } = this.values;
    return now && ((dark, muted) => painted(now, dark, muted));
  }

  #legend() {
    const { now } = this.values;
    this.legend.show(now);
    this.over.colour(now && painted(now, this.plot.dark, null).colours);
  }

  #recolour() {
    if (!this.map) return;
    this.plot.paint(this.#paint());
    this.#legend();
    if (this.values.needsPictures) this.drawing.start();
  }

  #show({ pictures, density }) {
    this.over.pictures = pictures;
    this.over.shade = density;
    if (pictures && this.map) this.sheets.of(this.settings.sheetQuery());
    this.over.draw();
  }

  #picturesShown(near) {
    this.hint.hidden = !this.over.pictures || near;
    if (near && !this.sheets.has(this.map.x.length)) this.drawing.start();
  }

  #picture(spot) {
    const { label } = this.settings.spot(spot);
    const named = typeof spot === "string" ? spot : label == null ? `seed ${spot}` : `seed ${spot}, ${className(this.stage.network, label)}`;
    const value = typeof spot === "number" && this.values.now && this.values.color !== "class" ? told(this.values.now, spot) : "";
    return { words: value ? `${named} · ${value}` : named, picture: (signal) => this.stage.picture(this.#recipe(spot), { size: 160, signal }) };
  }

  #click(spot) {
    if (!this.settings.walking || typeof spot === "string") {
      this.stage.show(this.#recipe(spot));
    } else if (this.first === null) {
      this.first = spot;
      this.stage.show(this.#recipe(spot));
      this.status.textContent = `From seed ${spot}: click where the walk ends.`;
    } else {
      openTab("Interpolate");
      hand("walk-between", [this.first, spot].map((one) => this.settings.spot(one)));
      this.settings.walk(false);
    }
  }

  #walkMode(on) {
    this.first = null;
    if (on) this.status.textContent = "Click the dot where the walk begins.";
    else if (this.map) this.#say();
  }

  #drawing(places) {
    this.over.path = places;
    this.over.stations = [];
    this.over.draw();
  }

  /** Make keyframes of a drawn line or of chosen seeds, and hand them to the timeline. */
  async #path(way) {
    try {
      const recipe = likeStage(this.stage.recipe);
      const found = await asked(this.settings.address("map/path"), { method: "POST", body: JSON.stringify({ recipe, ...way }) });
      Object.assign(this.over, { path: null, stations: found.seeds });
      this.over.draw();
      this.status.textContent = `A walk of ${found.seeds.length} keyframes${found.loop ? ", closed" : ""}: it is on the timeline.`;
      hand("keyframes", { recipes: found.recipes.map(full), spline: "catmull-rom", loop: found.loop });
    } catch (wrong) {
      this.status.textContent = wrong.message;
    }
  }

  /** Ask where the stage is on the map: one question under way, the newest wins. */
  async #place() {
    if (!this.inSight || !this.map || this.drawn !== this.settings.key) return;
    if (this.placing.busy) return void (this.placing.again = true);
    this.placing = { busy: true, again: false };
    try {
      const address = this.settings.address("map/place", { method: this.map.method, nearest: NEAR, by: "w" });
      const found = await asked(address, { method: "POST", body: document.getElementById("stage").dataset.recipe });
      this.plot.mark(found.x, found.y);
      this.nearest = found.nearest;
      const notes = found.away.map((away) => `${away.toFixed(2)} standard deviations of w away`);
      fill(this.near, { thumbs: this.thumbs, spots: found.nearest.slice(0, NEAR_SHOWN), act: this.#acts(), notes });
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
