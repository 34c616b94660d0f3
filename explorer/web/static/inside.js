// Inside the network: any layer's channels, their spectrum, the picture becoming the picture; behind the stage's own pictures.

import { answered } from "./asking.js";
import { Charts, short } from "./inside_charts.js";
import { Growing, Sheet } from "./inside_sheet.js";
import { InsideSettings } from "./inside_settings.js";
import { h, whenSeen } from "./panel_kit.js";
import { same } from "./recipe.js";

const PACE = 30; // ms between two looks, in which the browser draws
const SHARE = 1; // times as long as a look took the next one waits while the hand moves: the stage comes first
const SENTENCE = "From numbers to a picture: coarse layers come first, and each size adds finer detail. Every small square is one channel of the chosen layer, for the picture on the stage.";
const HINTS = { picture: "Black is -1 and white is 1, as on the stage, which cuts the margin off.", rgb: "Middle gray is the mean: what this size adds, darker and brighter." };

export function mountInside(stage) {
  const fold = document.getElementById("inside");
  let inside = null;
  fold.addEventListener("toggle", () => {
    // Nothing is built, and nothing asked for, before it is opened.
    if (fold.open) inside ??= new Inside(stage, document.getElementById("inside-body"));
    inside?.opened(fold.open);
  });
}

/** A name of its own for what this tab asks, so that a newer question takes the older one's place. */
const CLIENT = [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join("");

function ask(address, recipe, query = {}) {
  const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value != null));
  const words = new URLSearchParams({ ...given, client: `${CLIENT}${address}${query.view ?? ""}` });
  return answered(`${address}?${words}`, { method: "POST", body: recipe });
}

/** The layer of that name, or the one that is like it in another network: as far on, and of the same kind. */
function likely(layers, before) {
  const named = layers.find(({ name }) => name === before?.name);
  if (named) return named;
  const kind = before?.kind ?? "conv";
  const alike = layers.filter((layer) => layer.kind === kind);
  const among = alike.length ? alike : layers;
  return among[Math.round((before?.share ?? 0.5) * (among.length - 1))];
}

class Inside {
  open = false;
  seen = false;
  busy = false;
  again = false;
  moving = false;
  shown = "";
  key = "";
  layer = null;

  constructor(stage, root) {
    this.stage = stage;
    this.settings = new InsideSettings({ change: () => this.ask(), choose: (layer) => this.#choose(layer) });
    this.growing = new Growing({ choose: (level) => this.#chooseLevel(level) });
    this.sheet = new Sheet({ point: (channel) => this.#point(channel) });
    this.charts = new Charts({ point: (channel) => this.sheet.to(channel) });
    this.status = h("p", { class: "inside-status", role: "status" });
    root.append(
      h("p", { class: "hint" }, SENTENCE),
      this.growing.root,
      this.settings.root,
      this.charts.facts,
      h("div", { class: "inside-view" }, h("div", { class: "inside-channels" }, this.sheet.root, this.settings.pages, this.status, this.charts.scatter), this.charts.root),
    );
    document.addEventListener("drawn", ({ detail }) => ((this.moving = !detail.exact), this.ask()));
    new ResizeObserver(() => this.ask()).observe(root);
    whenSeen(root, (now) => ((this.seen = now), this.ask()));
  }

  opened(open) {
    this.open = open;
    this.ask();
  }

  /** Look again where anything changed: one look under way, the newest wins. */
  async ask() {
    const recipe = document.getElementById("stage").dataset.recipe;
    if (!this.open || !this.seen || !recipe) return;
    if (this.busy) return void (this.again = true);
    this.busy = true;
    const begun = performance.now();
    try {
      await this.#look(recipe);
    } catch (wrong) {
      if (wrong.status !== 409) this.#say(wrong.message, true);
    }
    const pause = this.moving ? Math.max(PACE, SHARE * (performance.now() - begun)) : PACE;
    await new Promise((wake) => setTimeout(wake, pause));
    this.busy = false;
    const { again } = this;
    this.again = false;
    if (again) this.ask();
  }

  async #look(recipe) {
    const network = this.stage.find(JSON.parse(recipe).checkpoint);
    const key = JSON.stringify([network?.name, network?.sha, JSON.parse(recipe).grown?.size]);
    if (key !== this.key) {
      const { layers, crop } = await (await ask("layers", recipe)).json();
      this.key = key;
      this.layers = layers;
      this.crop = crop;
      this.layer = likely(layers, this.layer);
      this.settings.layers(layers);
      this.growing.sizes(layers);
    }
    this.settings.choose(this.layer);
    const plate = this.settings.plate(this.layer, this.sheet.width);
    const wanted = { layer: this.layer.name, ...plate };
    const asked = JSON.stringify([recipe, network?.sha, wanted, this.charts.side, this.growing.width]);
    if (asked === this.shown) return;
    const part = async (query) => createImageBitmap(await (await ask("layers/picture", recipe, query)).blob());
    const [told, ...pictures] = await Promise.all([
      ask("layers", recipe, wanted).then((answer) => answer.json()),
      part({ ...wanted, view: "channels" }),
      part({ view: "growing", cell: this.growing.cell(this.crop) }),
      part({ layer: this.layer.name, view: "spectrum", cell: this.charts.side }),
    ]);
    this.shown = asked;
    this.#show(told, pictures);
  }

  #show(told, [sheet, growing, spectrum]) {
    const layer = told.layers.find(({ name }) => name === told.layer);
    this.layer = { ...layer, share: this.#share(layer) };
    this.told = told;
    this.sheet.draw(sheet, told.sheet, layer);
    this.growing.draw(growing, layer.level);
    this.charts.draw(spectrum, told, layer);
    this.settings.shown(told.sheet.order.length, layer);
    this.#point(this.sheet.channel);
    document.getElementById("inside").dataset.shown = JSON.stringify({ layer: layer.name, recipe: document.getElementById("stage").dataset.recipe });
  }

  #share(layer) {
    const alike = this.layers.filter(({ kind }) => kind === layer.kind);
    return alike.length > 1 ? alike.findIndex(({ name }) => name === layer.name) / (alike.length - 1) : 1;
  }

  #choose(layer) {
    if (same(layer.name, this.layer?.name)) return;
    this.layer = layer;
    this.ask();
  }

  /** The last convolution of a size, since its channels are what the next size is made from. */
  #chooseLevel(level) {
    this.#choose(this.layers.filter((layer) => layer.level === level && layer.kind === "conv").at(-1));
    this.settings.choose(this.layer);
  }

  #point(channel) {
    const { told } = this;
    if (!told) return;
    this.charts.mark(channel);
    if (channel === null) return this.#say(HINTS[this.layer.kind] ?? "Point at a channel, or go through them with the arrow keys.");
    const words = `Channel ${channel}: mean ${short(told.means[channel])}, deviation ${short(told.deviations[channel])}`;
    this.sheet.name(channel, words);
    this.#say(words);
  }

  #say(words, wrong = false) {
    this.status.textContent = words;
    this.status.classList.toggle("wrong", wrong);
  }
}
