// window.stage: the one picture of the page, and what everything else on the page holds on to.
//
//   recipe, network, networks            the current recipe (frozen, every key), its /networks entry, all entries
//   set(patch, {moving})  show(recipe)   change some keys; replace all. moving: the hand is still down
//   subscribe(fn)  subscribeNetworks(fn)  subscribeShelf(fn)      called now and after every change; return an unsubscribe
//   frameURL(recipe, {format, size})  picture(recipe, {size, signal})     an address; a small picture, behind the stage's own
//   keep(recipe, name)  shelf            the shelf
//   accept(title, fn)                    a panel that takes kept pictures: fn({id, name, recipe}); returns an undo
//   walk                                 {recipes, steps, loop, ease, space, fps}, or null: what "Play" and "Save as" take
//   menus                                Gradio's dropdowns: mount(id, choose), show(id, {choices, value})
//   say(sentence)                        an error over the picture, until the next good one
//   offer(sentence, {words, act})        a question there instead, with a button that bears `words`
//   tell(words)  remark(words)           what just happened, for screen readers; for everybody, where the page shows it nowhere else
//   download(blobOrURL, filename)  play()

import { SILENT } from "./asking.js";
import { mountControls } from "./controls.js";
import { Menus } from "./fields.js";
import { saveWalk } from "./film.js";
import { decoded, Frames, fetchFrame } from "./frames.js";
import { mountHeader } from "./header.js";
import { History, recipeOfAddress } from "./history.js";
import { mountKeys } from "./keys.js";
import { placeOf, walked } from "./plane.js";
import { Player } from "./play.js";
import { describe, full, same, short } from "./recipe.js";
import { Shelf, mountShelf } from "./shelf.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);
const STEP = 0.125; // seeds that a walk button goes
const POLL = 5000; // ms between looks for a first network
const READ = [2500, 60]; // ms that a remark stays: at least, and for each of its letters
const OF_RUN = /^([^/]+)\/\d{6,}$/; // RUN/000012
const BELOW = 12; // pixels of the controls, their lower margin, that a window may cut off
const sideBySide = matchMedia("(min-width: 861px)");

/** How many pixels higher the stage may be while its controls stay in the window. */
function spare() {
  if (!sideBySide.matches || find("inside")?.open) return -Infinity;
  return innerHeight + BELOW - scrollY - find("controls").getBoundingClientRect().bottom;
}

class Stage {
  #recipe = full({});
  #networks = [];
  #heard = new Set();
  #heardNetworks = new Set();
  #heardReceivers = new Set();
  #held = null;
  #good = null; // what the server drew last
  #answered = true;
  #again = 0;
  #remarked = 0;
  #offered = null; // what the question over the picture leads to
  walk = null;
  filmScale = 1; // pixels a side of each pixel of a film
  menus = new Menus();
  receivers = new Map();

  constructor({ checkpoint }) {
    this.first = checkpoint;
    this.frames = new Frames({ show: (bitmap, facts) => this.#drawn(bitmap, facts), fail: (sentence, wish) => this.#failed(sentence, wish) });
    this.history = new History({ go: (recipe) => this.#goTo(recipe), moved: (can) => this.#canGo(can) });
    this.keeper = new Shelf({ say: (sentence) => this.say(sentence) });
    this.player = new Player(this, { changed: (playing) => this.#playing(playing) });
  }

  get recipe() {
    return this.#recipe;
  }

  get networks() {
    return this.#networks;
  }

  get network() {
    return this.find(this.#recipe.checkpoint);
  }

  /** The network of that name; RUN alone is the newest of a run, which comes first. A folder above a file's name is no run. */
  find(name) {
    const named = this.#networks.find((network) => network.name === name);
    return named ?? this.#networks.find((network) => OF_RUN.exec(network.name)?.[1] === name) ?? null;
  }

  get shelf() {
    return this.keeper.items;
  }

  set(patch, { moving = false, playing = false } = {}) {
    if (!playing) this.player.stop();
    this.#change(full({ ...this.#recipe, ...patch }), { moving });
  }

  show(recipe) {
    this.player.stop();
    this.#change(full({ checkpoint: this.#recipe.checkpoint, ...recipe }), { moving: false });
  }

  subscribe(hear) {
    this.#heard.add(hear);
    hear(this.#recipe, this.network, { moving: false });
    return () => this.#heard.delete(hear);
  }

  subscribeNetworks(hear) {
    this.#heardNetworks.add(hear);
    hear(this.#networks);
    return () => this.#heardNetworks.delete(hear);
  }

  subscribeShelf(hear) {
    return this.keeper.subscribe(hear);
  }

  subscribeReceivers(hear) {
    this.#heardReceivers.add(hear);
    return () => this.#heardReceivers.delete(hear);
  }

  accept(title, receive) {
    const tell = () => this.#heardReceivers.forEach((hear) => hear());
    this.receivers.set(title, receive);
    tell();
    return () => {
      this.receivers.delete(title);
      tell();
    };
  }

  frameURL(recipe, { format = "png", size } = {}) {
    const query = new URLSearchParams({ recipe: JSON.stringify(short(full(recipe))), format });
    if (size) query.set("size", size);
    return `frame?${query}`;
  }

  picture(recipe, options) {
    return this.frames.picture(short(full(recipe)), options);
  }

  keep(recipe = this.#recipe, name) {
    const id = this.keeper.keep(full(recipe), name);
    // Where the window ends above the shelf, nothing else shows that anything happened.
    const seen = find("shelf").getBoundingClientRect().bottom <= innerHeight;
    if (id) this[seen ? "tell" : "remark"]("Kept on the shelf");
    return id;
  }

  play() {
    this.player.toggle();
  }

  /** Write a sentence over the picture; it goes with the next good picture that was asked for after it. */
  say(sentence) {
    this.#answered = false;
    const place = find("stage-error");
    place.textContent = sentence;
    place.hidden = !sentence;
    if (this.#offered) this.#answer();
  }

  /** Ask over the picture whether to `act`; the question goes by its buttons, by Escape, and as a sentence goes. */
  offer(sentence, { words, act }) {
    this.player.stop(); // or the next frame of what plays would wipe it away
    this.say("");
    this.tell(`${sentence} ${words}?`);
    this.#offered = act;
    find("stage-offer-words").textContent = sentence;
    find("stage-offer").querySelector("[data-offer=take]").textContent = words;
    find("stage-offer").hidden = false;
  }

  /** The question goes; `taken` where its button was pressed. */
  #answer({ taken = false } = {}) {
    const [place, act] = [find("stage-offer"), this.#offered];
    this.#offered = null;
    // The keyboard stays at the picture, not at what is gone.
    if (place.contains(document.activeElement)) this.view.canvas.focus();
    place.hidden = true;
    if (taken) act?.();
  }

  /** An error goes by its button or by Escape, where there is a picture below it. */
  #mountError() {
    const leave = () => find("stage").dataset.recipe && this.say("");
    find("stage-error-leave").addEventListener("click", () => (leave(), this.view.canvas.focus()));
    addEventListener("keydown", ({ key, target }) => key === "Escape" && !target.closest?.(".menu, dialog, input, select, textarea") && leave());
  }

  #mountOffer() {
    const place = find("stage-offer");
    place.addEventListener("click", ({ target }) => {
      const pressed = target.closest("[data-offer]")?.dataset.offer;
      if (pressed) this.#answer({ taken: pressed === "take" });
    });
    addEventListener("keydown", ({ key, target }) => key === "Escape" && !target.closest?.(".menu, dialog") && this.#offered && this.#answer());
  }

  tell(words) {
    const place = find("stage-said");
    place.textContent = words;
    place.classList.add("visually-hidden");
    clearTimeout(this.#remarked);
  }

  /** Tell everybody, for as long as it takes to read. */
  remark(words) {
    this.tell(words);
    if (!words) return;
    const place = find("stage-said");
    place.classList.remove("visually-hidden");
    const [least, each] = READ;
    this.#remarked = setTimeout(() => place.classList.add("visually-hidden"), Math.max(least, each * words.length));
  }

  saveWalk(kind) {
    return saveWalk(this, kind);
  }

  download(source, filename) {
    const address = typeof source === "string" ? source : URL.createObjectURL(source);
    const anchor = Object.assign(document.createElement("a"), { href: address, download: filename });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    if (address !== source) setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  async refreshNetworks() {
    let networks;
    try {
      const answer = await fetch("networks");
      networks = await answer.json().catch(() => ({}));
      this.#answers();
      if (!answer.ok || !Array.isArray(networks)) return this.say(networks.error ?? `The explorer answered ${answer.status}.`);
    } catch {
      this.say(SILENT);
      // Before the first network, open() asks by itself.
      clearTimeout(this.#again);
      if (this.#networks.length) this.#again = setTimeout(() => this.refreshNetworks(), POLL);
      return;
    }
    if (JSON.stringify(networks) === JSON.stringify(this.#networks)) return;
    const remade = this.network && networks.some(({ name, sha }) => name === this.network.name && sha !== this.network.sha);
    this.#networks = networks;
    for (const hear of this.#heardNetworks) hear(networks);
    this.#tellAll();
    if (remade) this.frames.ask(short(this.#recipe), { moving: false });
  }

  /** The explorer answered: the sentence that it does not goes. */
  #answers() {
    clearTimeout(this.#again);
    if (find("stage-error").textContent === SILENT) this.say("");
  }

  /** Called once the page's elements are there: find the networks, then the first picture. */
  async open() {
    let { recipe, error } = recipeOfAddress();
    this.view = new View({ canvas: find("stage"), frame: find("stage-frame"), view: find("stage-view"), drag: (way) => this.#drag(way), spare });
    this.#mountTools(mountKeys(this));
    this.#canGo({ undo: false, redo: false });
    this.#mountError();
    this.#mountOffer();
    mountControls(this);
    mountHeader(this);
    mountShelf(this, this.keeper);
    await this.refreshNetworks();
    while (this.#networks.length === 0) {
      find("stage-empty").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, POLL));
      await this.refreshNetworks();
    }
    find("stage-empty").hidden = true;
    // A recipe that the server refuses is no place to begin: say why, and begin afresh.
    let frame;
    if (recipe) ({ frame, error } = await firstOf({ checkpoint: this.#firstNetwork(), ...recipe }));
    this.#recipe = full({ checkpoint: this.#firstNetwork(), ...(error ? {} : recipe) });
    this.history.begin(this.#recipe);
    if (frame) {
      this.#tellAll();
      this.#drawn(await decoded(frame.blob), { ...frame, recipe: short(this.#recipe), exact: true });
    } else {
      this.#change(this.#recipe, { moving: false, kept: true });
    }
    if (error) this.say(error);
    addEventListener("visibilitychange", () => document.hidden || this.refreshNetworks());
  }

  #firstNetwork() {
    return (this.find(this.first) ?? this.find("brain") ?? this.#networks[0]).name;
  }

  /** Where back and forward lead; what plays would go on from there, and settling it would be an entry of its own. */
  #goTo(recipe) {
    this.player.halt();
    this.#change(recipe, { moving: false, kept: true });
  }

  #change(recipe, { moving, kept = false }) {
    this.#recipe = recipe;
    this.#answered = true;
    this.frames.ask(short(recipe), { moving });
    this.#tellAll(moving);
    if (!kept && this.#networks.length) this.history.note(recipe, { now: !moving });
  }

  #tellAll(moving = false) {
    find("stage-words").textContent = describe(this.#recipe);
    for (const hear of this.#heard) hear(this.#recipe, this.network, { moving });
  }

  #drawn(bitmap, { recipe, exact, milliseconds, precision, device }) {
    this.view.draw(bitmap, this.find(recipe.checkpoint)?.size);
    const canvas = this.view.canvas;
    canvas.dataset.exact = String(exact);
    canvas.dataset.recipe = JSON.stringify(recipe);
    this.#good = recipe;
    this.history.shown(recipe);
    find("readout").textContent = `${Math.round(milliseconds)} ms, ${precision}, ${device}`;
    if (this.#answered) this.say("");
    this.#answers();
    canvas.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: { recipe, exact } }));
  }

  /** Say why there is no picture; what the server refused is put back, lest it stay in every change made from it. */
  #failed(sentence, { recipe, refused }) {
    if (refused && this.#good && same(recipe, short(this.#recipe))) {
      this.history.drop();
      this.#recipe = full(this.#good);
      this.#tellAll();
    }
    this.say(sentence);
    this.#answered = true;
  }

  #drag({ begin, end, dx, dy }) {
    if (begin) this.#held = placeOf(this.#recipe);
    else if (end) this.set({}, { moving: false });
    else this.set(walked(this.#held, dx, dy), { moving: true });
  }

  #walk(dx, dy) {
    this.set(walked(placeOf(this.#recipe), dx * STEP, dy * STEP), { moving: true });
  }

  #playing(playing) {
    const button = document.querySelector("[data-do=play]");
    button.setAttribute("aria-pressed", String(playing));
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  }

  #canGo({ undo, redo }) {
    document.querySelector("[data-do=undo]").disabled = !undo;
    document.querySelector("[data-do=redo]").disabled = !redo;
  }

  #mountTools(showKeys) {
    const acts = {
      "walk-left": () => this.#walk(-1, 0),
      "walk-right": () => this.#walk(1, 0),
      "walk-up": () => this.#walk(0, -1),
      "walk-down": () => this.#walk(0, 1),
      "zoom-in": () => this.view.zoom(1.5),
      "zoom-out": () => this.view.zoom(1 / 1.5),
      "zoom-fit": () => this.view.zoom(0),
      play: () => this.play(),
      undo: () => history.back(),
      redo: () => history.forward(),
      keep: () => this.keep(),
      keys: showKeys,
    };
    for (const button of document.querySelectorAll("#stage-tools [data-do]")) {
      button.addEventListener("click", acts[button.dataset.do]);
    }
  }
}

/** The exact picture of a recipe that nobody has looked at yet, or the sentence with which the server refuses it; neither where it is silent. */
async function firstOf(recipe) {
  try {
    return { frame: await fetchFrame(recipe, { format: "png" }) };
  } catch (wrong) {
    return wrong.again ? {} : { error: wrong.message };
  }
}

export function openStage(facts) {
  const stage = new Stage(facts);
  window.stage = stage;
  return stage.open();
}
