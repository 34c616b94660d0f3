// One recipe on two networks, or on one in two precisions, and the difference of the two pictures. Both sides are asked for
// as one pair: one pair under way, one waiting, the newest always wins and is always shown.

import { apart, pictured } from "./difference.js";
import { counterpart, leftOut } from "./elsewhere.js";
import { nameGroup, radioField, resetOf } from "./fields.js";
import { AGAIN, decoded, fetchFrame, REST } from "./frames.js";
import { JobBox } from "./panel_jobs.js";
import { architectureOf, button, h, hand, offered, openTab, present, sides as sidesOf, take, whenSeen } from "./panel_kit.js";
import { same, short } from "./recipe.js";
import { multiple } from "./view.js";

const PARTS = ["#compare-left input", "#compare-left-precision input", "#compare-left-rest", "#compare-right input", "#compare-right-precision input", "#compare-right-rest", "#compare-sign [type=radio]", "#compare-amplify [type=radio]", "#compare-difference-rest", "#compare-rest", "#compare-sync"];
const STAGES = "the stage’s"; // the choice of the left menu that follows the stage
const SYNC = { sync: "compare-sync" };

/** What this panel takes from the shelf, also before its tab was first opened. */
export function announce(stage) {
  stage.accept("Compare", (kept) => {
    openTab("Compare");
    hand("compare-show", kept);
  });
}

export function mount(stage) {
  present(PARTS, () => new Comparison(stage));
}

/** The newest pair of pictures; show([frame, frame], wish) gets {bitmap, precision, milliseconds} or {wrong} for each. */
class Pair {
  #busy = false;
  #waiting = null;
  #rest = 0;

  constructor({ show }) {
    this.show = show;
  }

  /** Ask for two sides {recipe, precision}: without loss, the fast picture while the hand moves, then the exact one. */
  ask(sides, { moving }) {
    clearTimeout(this.#rest);
    this.#waiting = { sides, exact: !moving };
    if (moving) this.#rest = setTimeout(() => this.ask(sides, { moving: false }), REST);
    this.#next();
  }

  async #next() {
    if (this.#busy || !this.#waiting) return;
    this.#busy = true;
    const wish = this.#waiting;
    this.#waiting = null;
    const frames = await Promise.all(wish.sides.map((side) => this.#one(side, wish)));
    this.#busy = false;
    if (frames.some(({ wrong }) => wrong?.again) && !this.#waiting) this.#rest = setTimeout(() => this.ask(wish.sides, { moving: false }), AGAIN);
    this.show(frames, wish);
    this.#next();
  }

  async #one({ recipe, precision }, { exact }) {
    try {
      const named = precision === "auto" ? {} : { precision };
      const frame = await fetchFrame(short(recipe), { format: exact && precision === "auto" ? "png" : "webp", ...named });
      return { ...frame, bitmap: await decoded(frame.blob) };
    } catch (wrong) {
      return { wrong };
    }
  }
}

class Comparison {
  // What was chosen, null where nothing was: the stage's network beside another one, both in "auto".
  chosen = { left: null, right: null };
  precisions = { left: null, right: null };
  shown = { amplify: 4, signed: false };
  #seen = false;
  #asked = "";
  #pixels = null;

  constructor(stage) {
    this.stage = stage;
    this.root = nameGroup("compare-panel", "Compare", "region");
    this.job = new JobBox(stage);
    this.pair = new Pair({ show: (frames, wish) => this.#draw(frames, wish) });
    this.figures = { left: this.#side("left"), right: this.#side("right") };
    this.difference = figure("Difference");
    this.told = h("p", { class: "told", role: "status", id: "compare-told" });
    this.save = button("Save PNG", { icon: "save", title: "Both pictures and their difference on one sheet", press: () => this.#save() });
    this.difference.root.append(this.told, h("div", { class: "row" }, this.save));
    document.getElementById("compare-difference-rest").append(this.difference.root);
    this.said = h("p", { class: "hint", role: "status" });
    document.getElementById("compare-rest").append(this.said, this.job.root);
    this.#mountMenus();
    this.#mountDifference();
    take("compare-show", ({ recipe }) => this.#toStage(recipe, recipe.checkpoint));
    stage.subscribe((recipe, network, { moving }) => this.#follow({ moving }));
    stage.subscribeNetworks(() => this.#offer());
    new ResizeObserver(() => this.#fit()).observe(this.root);
    whenSeen(this.root, (now) => {
      this.#seen = now;
      if (now) this.#follow({ moving: false });
    });
  }

  #side(side) {
    const made = figure(side === "left" ? "Left picture" : "Right picture");
    made.stage = button("To the stage", { icon: "stage", label: `To the stage: ${side}`, press: () => this.#toStage(this.#recipe(side), this.#network(side).name) });
    made.keep = button("", { icon: "keep", kind: "icon", label: `Keep: ${side}`, title: "Keep this picture on the shelf", press: () => this.stage.keep(this.#recipe(side)) });
    made.root.append(h("div", { class: "row" }, made.stage, made.keep));
    document.getElementById(`compare-${side}-rest`).append(made.root);
    return made;
  }

  #mountMenus() {
    const { menus } = this.stage;
    this.backs = {};
    for (const side of ["left", "right"]) {
      const [id, precision] = [`compare-${side}`, `compare-${side}-precision`];
      const name = side === "left" ? "Left" : "Right";
      const choose = (value) => this.#set(() => (this.chosen[side] = value === STAGES ? null : value));
      menus.mount(id, choose, SYNC).addEventListener("focus", () => this.stage.refreshNetworks());
      this.backs[side] = resetOf(document.getElementById(id), { name, press: () => choose(null) });
      const narrow = (value) => this.#set(() => (this.precisions[side] = value));
      menus.mount(precision, narrow, SYNC);
      this.backs[precision] = resetOf(document.getElementById(precision), { name: `${name} precision`, press: () => narrow(null) });
    }
  }

  #mountDifference() {
    const titles = { absolute: "Black where both are equal", signed: "Gray where both are equal, brighter where the right one is" };
    radioField("compare-sign", { name: "Difference", start: "absolute", titles, change: (value) => this.#show({ signed: value === "signed" }) });
    const factors = { 1: "As it is", 4: "Four times as strong", 16: "Sixteen times as strong" };
    this.suggest = radioField("compare-amplify", { name: "Amplified", start: "4", titles: factors, change: (value) => this.#show({ amplify: Number(value) }) });
  }

  /** What stands beside a network by itself: a snapshot of its run, another of its size, or it once more, so that there is a difference. */
  #another(network) {
    const run = network.name.includes("/") ? `${network.name.split("/")[0]}/` : null;
    const alike = this.stage.networks.filter(({ name, size, sha }) => name !== network.name && sha !== network.sha && same(size, network.size));
    return alike.find(({ name }) => run && name.startsWith(run)) ?? alike[0] ?? network;
  }

  #network(side) {
    const chosen = this.chosen[side] && this.stage.find(this.chosen[side]);
    return chosen || (side === "left" ? this.stage.network : this.#another(this.#network("left")));
  }

  /** A network beside itself shows something where the precisions differ. */
  #precision(side) {
    const alone = side === "right" && !this.chosen.right && this.#network("left") === this.#network("right");
    return this.precisions[side] ?? (alone ? "bfloat16" : "auto");
  }

  #recipe(side) {
    return counterpart({ ...this.stage.recipe, checkpoint: this.stage.network.name }, this.#network(side));
  }

  #set(change) {
    change();
    this.#follow({ moving: false });
  }

  /** Say in the menus what there is, and which is chosen. */
  #offer() {
    const { network, networks, menus } = this.stage;
    if (!network) return;
    const names = offered(networks);
    const left = this.chosen.left && this.stage.find(this.chosen.left);
    menus.show("compare-left", { choices: [STAGES, ...names], value: left ? left.name : STAGES });
    menus.show("compare-right", { choices: names, value: this.#network("right").name });
    for (const side of ["left", "right"]) {
      this.backs[side].disabled = !this.chosen[side];
      menus.show(`compare-${side}-precision`, { value: this.#precision(side) });
      this.backs[`compare-${side}-precision`].disabled = !this.precisions[side];
    }
  }

  #follow({ moving }) {
    if (!this.stage.network) return;
    this.#offer();
    this.figures.left.stage.disabled = this.#network("left").name === this.stage.network.name;
    this.figures.right.stage.disabled = this.#network("right").name === this.stage.network.name;
    // Two precisions of one network differ by so little that it has to be shown strongly to be seen.
    this.suggest(this.#network("left").name === this.#network("right").name ? "16" : "4");
    if (!this.#seen) return;
    const sides = ["left", "right"].map((side) => ({ recipe: this.#recipe(side), precision: this.#precision(side), network: this.#network(side) }));
    const key = JSON.stringify(sides);
    if (key === this.#asked && moving) return;
    this.#asked = key;
    this.pair.ask(sides, { moving });
  }

  #draw(frames, { sides, exact }) {
    ["left", "right"].forEach((side, k) => this.figures[side].draw(frames[k], sides[k]));
    const pixels = frames.map(({ bitmap }, k) => bitmap && this.figures[k ? "right" : "left"].pixels());
    frames.forEach(({ bitmap }) => bitmap?.close());
    this.#pixels = pixels.every(Boolean) ? pixels : null;
    this.said.textContent = sides.map(({ network }) => leftOut(this.stage.recipe, network)).filter(Boolean).join(" ");
    this.root.dataset.exact = String(exact);
    this.root.dataset.pair = JSON.stringify(sides.map(({ recipe, precision }) => ({ recipe: short(recipe), precision })));
    this.#measure();
    this.#fit();
  }

  #show(change) {
    this.shown = { ...this.shown, ...change };
    this.#measure();
  }

  /** The difference of what is shown, in a picture and in words. */
  #measure() {
    if (!this.#pixels) {
      this.told.textContent = "";
      return this.difference.leave();
    }
    const [left, right] = this.#pixels;
    const found = apart(left, right);
    this.difference.root.classList.toggle("none", !found);
    this.told.replaceChildren(...(found ? words(found) : [`Pictures of ${left.height} × ${left.width} and ${right.height} × ${right.width} have no difference; each is shown at its own size.`]));
    if (found) this.difference.put(pictured(left, right, this.shown));
    else this.difference.leave();
  }

  /** Every picture at the largest whole multiple that fits in its box; the boxes have one shape. */
  #fit() {
    const shapes = ["left", "right"].map((side) => this.#network(side)).filter(Boolean).map(sidesOf);
    if (!shapes.length) return;
    const tallest = Math.max(...shapes.map(([height, width]) => height / width));
    this.root.style.setProperty("--box", `1 / ${Math.min(1.6, tallest)}`);
    for (const one of [this.figures.left, this.figures.right, this.difference]) one.fit();
  }

  /** Bring a side to the stage; where the stage's network would then stand on both sides, the other one takes its place. */
  #toStage(recipe, name) {
    const before = this.stage.network.name;
    if (!this.chosen.left && this.#network("right").name === name) this.chosen.right = before;
    this.stage.show(recipe);
  }

  #save() {
    const [left, right] = [this.#network("left").name, this.#network("right").name];
    const [precision, with_precision] = [this.#precision("left"), this.#precision("right")];
    const recipe = { ...short(this.#recipe("left")), checkpoint: left };
    return this.job.run({ verb: "compare", checkpoint: left, with: right, precision, with_precision, ...this.shown, recipe }, { words: "Drawing the sheet" });
  }
}

/** The difference in words; those that a narrow column leaves out are still told to screen readers. */
function words({ mean, largest }) {
  const more = (text) => h("span", { class: "more" }, text);
  if (largest === 0) return ["No difference", more(": every pixel is equal"), "."];
  return [`Mean ${mean < 10 ? mean.toFixed(2) : mean.toFixed(1)}, largest ${largest}`, more(" gray levels"), "."];
}

/** One picture in its box, with a caption under it. */
function figure(label) {
  const canvas = h("canvas", { role: "img", "aria-label": label, width: 1, height: 1 });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const box = h("div", { class: "well" }, canvas, wrong);
  const line = h("p", { class: "hint caption" });
  const root = h("div", { class: "figure", role: "group", "aria-label": `${label}, shown` }, box, line);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const size = (width, height) => {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  };
  return {
    root,
    pixels: () => context.getImageData(0, 0, canvas.width, canvas.height),
    leave: () => root.classList.add("empty-box"),
    put(data) {
      root.classList.remove("empty-box");
      size(data.width, data.height);
      context.putImageData(data, 0, 0);
      this.fit();
    },
    draw({ bitmap, wrong: refused, precision, milliseconds }, { network }) {
      wrong.textContent = refused ? refused.message : "";
      root.classList.toggle("stale", Boolean(refused));
      if (!bitmap) return;
      root.classList.remove("empty-box");
      size(bitmap.width, bitmap.height);
      context.drawImage(bitmap, 0, 0);
      line.textContent = `${bitmap.height} × ${bitmap.width}, ${precision}, ${Math.round(milliseconds)} ms`;
      root.title = `${network.name}: ${architectureOf(network)}`;
    },
    fit() {
      const scale = multiple(canvas, box);
      const dots = devicePixelRatio || 1;
      canvas.style.width = `${(canvas.width * scale) / dots}px`;
      canvas.style.height = `${(canvas.height * scale) / dots}px`;
      canvas.style.imageRendering = scale >= 1 ? "pixelated" : "auto";
    },
  };
}
