// What the panels share: elements, sliders, thumbnails that load when they are seen, long work with Cancel, small languages.

import { AGAIN } from "./frames.js";
import { onlyNumbers } from "./typing.js";

export const SEED_LIMIT = 2 ** 32;
const SVG = "http://www.w3.org/2000/svg";

/** Make an element: h("button", {class: "plain", onclick}, "Keep"). Values false and null leave an attribute out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** One of the page's own icons. */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.setAttribute("aria-hidden", "true");
  picture.append(use);
  return picture;
}

export function button(words, { icon: name, press, title, kind = "plain", label } = {}) {
  const props = { type: "button", class: kind, title, "aria-label": label, onclick: press };
  return h("button", props, name ? icon(name) : null, words || null);
}

/** Call `found` with the element `#id` now, or as soon as the page has it. */
export function place(id, found) {
  const here = document.getElementById(id);
  if (here) return found(here);
  const watch = new MutationObserver(() => {
    const element = document.getElementById(id);
    if (!element) return;
    watch.disconnect();
    found(element);
  });
  watch.observe(document.documentElement, { childList: true, subtree: true });
}

/** Call `found` once there is an element for each of these selectors, now or later: Gradio builds its parts in any order. */
export function present(selectors, found) {
  const all = () => selectors.every((selector) => document.querySelector(selector));
  if (all()) return found();
  const watch = new MutationObserver(() => {
    if (!all()) return;
    watch.disconnect();
    // Gradio still gives a new component its first value, after it is in the page.
    setTimeout(found);
  });
  watch.observe(document.documentElement, { childList: true, subtree: true });
}

/** Tell a panel's thumbnails the shape of the network's pictures. */
export function shaped(stage, root) {
  stage.subscribe((recipe, network) => {
    if (!network) return;
    const [height, width] = sides(network);
    root.style.setProperty("--shape", `${width} / ${height}`);
  });
}

/** Call `fn(true)` when `root` comes into sight and `fn(false)` when it leaves it. */
export function whenSeen(root, fn) {
  new IntersectionObserver((entries) => fn(entries.at(-1).isIntersecting)).observe(root);
}

/** Bring a tab to the front by its title. */
export function openTab(title) {
  [...document.querySelectorAll('[role="tab"]')].find((tab) => tab.textContent.trim() === title)?.click();
}

/** Hand `detail` to a panel by an event's name; a panel that is only now being built gets it once it listens. */
export function hand(name, detail, tries = 100) {
  const event = new CustomEvent(name, { detail, cancelable: true });
  if (document.dispatchEvent(event) && tries > 0) setTimeout(() => hand(name, detail, tries - 1), 50);
}

/** Take what is handed over by that name. */
export function take(name, fn) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    fn(event.detail);
  });
}

/** A function that runs once things have been quiet for `milliseconds`. */
export function rested(fn, milliseconds) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...values), milliseconds);
  };
}

/** A slider with its number and a reset that is grey at its default; `oninput(value, moving)`. */
export function slider({ label, min, max, least = min, most = max, step = 1, value, hint, oninput }) {
  const start = value;
  const digits = step < 1 ? String(step).split(".")[1].length : 0;
  const range = h("input", { type: "range", "aria-label": label, min, max, step, value });
  const number = h("input", { type: "number", "aria-label": label, min: least, max: most, step, value, inputmode: "decimal" });
  const reset = button("", { icon: "reset", kind: "icon reset", label: `Reset ${label.toLowerCase()}`, title: `Back to ${start}` });
  const show = (next, except) => {
    value = next;
    if (except !== range) range.value = next;
    if (except !== number) number.value = digits ? next.toFixed(digits) : next;
    reset.disabled = next === start;
    range.style.setProperty("--fill", `${Math.max(0, Math.min(100, (100 * (next - min)) / (max - min)))}%`);
  };
  const read = (from, moving) => {
    const typed = from.valueAsNumber;
    if (!Number.isFinite(typed) || typed < least || typed > most) {
      number.setAttribute("aria-invalid", String(from === number));
      if (!moving) show(value);
      return;
    }
    number.removeAttribute("aria-invalid");
    show(digits ? typed : Math.round(typed), moving ? from : null);
    oninput(value, moving);
  };
  range.addEventListener("input", () => read(range, true));
  range.addEventListener("change", () => read(range, false));
  onlyNumbers(number);
  number.addEventListener("input", () => read(number, true));
  number.addEventListener("change", () => read(number, false));
  reset.addEventListener("click", () => (show(start), oninput(start, false)));
  show(value);
  const root = h(
    "div",
    { class: "control", role: "group", "aria-label": label },
    h("div", { class: "row" }, h("span", { class: "label" }, label), reset, h("span", { class: "spring" }), hint ? h("span", { class: "hint" }, hint) : null),
    h("div", { class: "row" }, range, number),
  );
  return { root, range, number, show, get value() { return value; } };
}

/** Read `7`, `3,9,27`, `0-7`; throws a sentence that names the part that is wrong. */
export function parseSeeds(text, { most = 4096 } = {}) {
  const seeds = [];
  for (const part of String(text).split(",")) {
    const found = /^\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?$/.exec(part);
    if (!part.trim()) throw new Error(String(text).trim() ? "A seed is missing beside a comma" : "Give a seed, such as 3, 9 or 0-7");
    if (!found) throw new Error(`“${part.trim()}” is no seed: whole numbers and ranges, such as 3, 9 or 0-7`);
    const first = Number(found[1]);
    const last = found[2] === undefined ? first : Number(found[2]);
    if (last < first) throw new Error(`“${part.trim()}” runs backwards: ${last}-${first}`);
    if (last >= SEED_LIMIT) throw new Error(`“${part.trim()}”: a seed is at most ${SEED_LIMIT - 1}`);
    if (seeds.length + last - first + 1 > most) throw new Error(`“${part.trim()}”: at most ${most} here`);
    for (let seed = first; seed <= last; seed++) seeds.push(seed);
  }
  return seeds;
}

/** Read seeds that may say their class, `9:2`, as {seed, label}; throws a sentence that names the part that is wrong. */
export function parseSpots(text, { most = 4096, classes = 0 } = {}) {
  return String(text).split(",").flatMap((part) => {
    const [seeds, label] = part.split(":", 2);
    if (label === undefined) return parseSeeds(part, { most }).map((seed) => ({ seed }));
    if (!classes) throw new Error(`“${part.trim()}”: this network has no classes`);
    if (!/^\s*\d{1,5}\s*$/.test(label) || Number(label) >= classes) throw new Error(`“${part.trim()}”: classes are 0 to ${classes - 1}`);
    return parseSeeds(seeds, { most }).map((seed) => ({ seed, label: Number(label) }));
  });
}

/** One of them as it is typed. */
export function spotText({ seed, label }) {
  return label == null ? String(seed) : `${seed}:${label}`;
}

/** Read `4-7` or `0,3,8-11` into a set of layers below `count`. */
export function parseLayers(text, count) {
  const layers = String(text ?? "") === "" ? [] : parseSeeds(text);
  return new Set(layers.filter((layer) => layer < count));
}

/** Write a set of layers the short way: 0,3,8-11. */
export function layersText(layers) {
  const runs = [];
  for (const layer of [...layers].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run && run[1] === layer - 1) run[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** What pictures beside the stage's have in common with it: everything but which picture it is. */
export function likeStage(recipe) {
  const { checkpoint, psi, cutoff, noise, label, grown } = recipe;
  const base = { checkpoint, psi, cutoff, noise, label };
  return grown ? { ...base, grown } : base;
}

/** The stage's recipe made one seed's again: nothing mixed in, steered, on the way, or blended. */
export function onlySeed(recipe, seed) {
  return { ...likeStage(recipe), seed, point: null, mix: [], steer: [], toward: null, blend: [] };
}

/** The longer side of the pictures that each layer works at: in StyleGAN2 layers 2k-1 and 2k share one, in StyleGAN 2k and 2k+1. */
export function layerSizes(network) {
  if (network.grows) return Array.from({ length: network.layers }, (_, layer) => Math.max(...network.sizes[layer >> 1]));
  const doublings = Math.max(1, network.layers / 2 - 1);
  const start = Math.ceil(Math.max(...sides(network)) / 2 ** doublings);
  return Array.from({ length: network.layers }, (_, layer) => start * 2 ** Math.min(doublings, (layer + 1) >> 1));
}

/** A class of a network as people read it: its number, and its name where the file has one. */
export function className(network, label, bare = "class ") {
  const name = network?.class_names?.[label];
  return name ? `${label}: ${name}` : `${bare}${label}`;
}

/** A menu of the classes in a native select, there for networks that have them; `value` is the one that counts. */
export function showClasses(menu, network, value) {
  menu.hidden = !network?.classes;
  if (menu.hidden) return;
  const key = `${network.name} ${network.sha}`;
  if (menu.dataset.of !== key) menu.replaceChildren(...Array.from({ length: network.classes }, (_, k) => h("option", { value: k }, className(network, k))));
  menu.dataset.of = key;
  menu.value = value;
}

/** The networks as a menu offers them: the best of a run, by its own measure, is marked. */
export function offered(networks) {
  return networks.map(({ name, best }) => [best ? `${name} (best)` : name, name]);
}

/** The architecture of a network as people write it. */
export function architectureOf({ architecture }) {
  return { stylegan: "StyleGAN", stylegan2: "StyleGAN2" }[architecture] ?? architecture;
}

/** [height, width] of a network's pictures as people see them. */
export function sides(network) {
  return Array.isArray(network.size) ? network.size : String(network.size).split("x").map(Number);
}

/** Coarse, middle and fine as Karras et al. 2019 (figure 3) name them, in share of the layers there are. */
export function layerGroups(count) {
  const share = Math.max(1, Math.round(count * 0.29));
  const range = (first, last) => Array.from({ length: Math.max(0, last - first) }, (_, k) => first + k);
  return { coarse: range(0, share), middle: range(share, 2 * share), fine: range(2 * share, count) };
}

/** One tick a layer, in a group named Layers, with buttons for groups of them; `oninput(Set)`. */
export function layerTicks({ network, value, oninput }) {
  const sizes = layerSizes(network);
  const groups = layerGroups(network.layers);
  const ticks = sizes.map((size, layer) =>
    h("input", { type: "checkbox", "aria-label": `Layer ${layer}, ${size} pixels`, title: `Layer ${layer}, works at ${size} pixels`, onchange: () => toggle([layer], ticks[layer].checked) }),
  );
  const words = Object.entries(groups).map(([name, layers]) =>
    h("button", { type: "button", class: "word", "data-group": name, title: `Layers ${layersText(layers)}`, onclick: () => toggle(layers, !layers.every((l) => value.has(l))) }, name),
  );
  const show = (next) => {
    value = new Set(next);
    ticks.forEach((tick, layer) => (tick.checked = value.has(layer)));
    words.forEach((word) => word.setAttribute("aria-pressed", String(groups[word.dataset.group].every((l) => value.has(l)))));
  };
  const toggle = (layers, on) => {
    const next = new Set(value);
    for (const layer of layers) on ? next.add(layer) : next.delete(layer);
    show(next);
    oninput(new Set(next));
  };
  const boxes = ticks.map((tick, layer) => h("label", { class: sizes[layer] === sizes[layer - 1] ? null : "first", title: tick.title }, tick, h("span", {}, String(layer))));
  const root = h("div", { class: "layers", role: "group", "aria-label": "Layers" });
  root.append(h("div", { class: "ticks" }, boxes), h("div", { class: "words" }, words));
  show(value);
  return { root, show };
}

/** A menu of the kept pictures, there once something is kept; `pick(kept)`. */
export function shelfMenu(stage, { label, pick }) {
  const select = h("select", { "aria-label": label, class: "from-shelf" });
  const fill = () => {
    const kept = stage.shelf || [];
    select.replaceChildren(h("option", { value: "" }, label), ...kept.map((one) => h("option", { value: one.id }, one.name)));
    select.hidden = kept.length === 0;
  };
  select.addEventListener("change", () => {
    const chosen = stage.shelf.find((one) => String(one.id) === select.value);
    select.value = "";
    if (chosen) pick(chosen);
  });
  stage.subscribeShelf(fill);
  return select;
}

/** Small pictures that are asked for when they come into sight, behind the stage's own, and dropped when they leave it. */
export class Thumbs {
  #all = new Set();
  #unanswered = new Set(); // those that a silent server still owes a picture
  #timer = 0;

  constructor(stage, { size }) {
    this.stage = stage;
    this.size = size;
    this.seen = new IntersectionObserver((entries) => entries.forEach((entry) => this.#turn(entry)), { rootMargin: "160px" });
    stage.subscribeNetworks(() => this.#renew());
    document.addEventListener("drawn", () => this.#retry());
  }

  /** A button that shows a recipe; `press(recipe)`. */
  make({ label, title = label, press, kind = "thumb", tag = "button" }) {
    const picture = h("img", { alt: "", draggable: "false" });
    const props = tag === "button" ? { type: "button", "aria-label": label, title } : { title };
    const element = h(tag, { class: kind, ...props }, picture);
    if (press) element.addEventListener("click", () => press(element.recipe));
    this.seen.observe(element);
    this.#all.add(element);
    return element;
  }

  /** Show `recipe` in a thumbnail; nothing happens when it shows it already. */
  set(element, recipe) {
    // A network may be another one under its old name.
    const key = JSON.stringify([recipe, this.#network(recipe)?.sha]);
    if (element.key === key) return;
    element.recipe = recipe;
    element.key = key;
    element.stale = true;
    if (element.inSight) this.#ask(element);
  }

  /** Give up a thumbnail that has left the page. */
  drop(element) {
    this.seen.unobserve(element);
    this.#all.delete(element);
    this.#unanswered.delete(element);
    element.asking?.abort();
    const picture = element.querySelector("img");
    if (picture.src) URL.revokeObjectURL(picture.src);
    element.remove();
  }

  #network({ checkpoint }) {
    return checkpoint ? this.stage.find(checkpoint) : this.stage.network;
  }

  /** The networks are others: what shows one that was replaced under its name is asked for anew. */
  #renew() {
    for (const element of this.#all) if (element.key && this.#network(element.recipe)) this.set(element, element.recipe);
  }

  /** Ask for what a silent server did not give, as far as it is in sight; the rest is asked for once it comes there. */
  #retry(most = Infinity) {
    const waiting = [...this.#unanswered].filter((element) => element.inSight).slice(0, most);
    for (const element of waiting) this.#ask(element);
  }

  /** One of them asks whether the server is back, also where the stage itself has nothing to ask. */
  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#retry(1), AGAIN);
  }

  #turn(entry) {
    entry.target.inSight = entry.isIntersecting;
    if (entry.isIntersecting && entry.target.stale) this.#ask(entry.target);
    if (!entry.isIntersecting) entry.target.asking?.abort();
  }

  async #ask(element) {
    element.asking?.abort();
    const asking = (element.asking = new AbortController());
    const key = element.key;
    this.#unanswered.delete(element);
    element.classList.add("waiting");
    try {
      const blob = await this.stage.picture(element.recipe, { size: this.size, signal: asking.signal });
      if (element.key !== key || asking.signal.aborted) return;
      const picture = element.querySelector("img");
      const old = picture.src;
      picture.src = URL.createObjectURL(blob);
      if (old) URL.revokeObjectURL(old);
      element.stale = false;
      this.#complain(element, null);
      this.#retry();
    } catch (wrong) {
      if (wrong.name === "AbortError" || asking.signal.aborted) return;
      this.#complain(element, wrong.message);
      element.stale = Boolean(wrong.again);
      if (!wrong.again) return;
      this.#unanswered.add(element);
      this.#later();
    } finally {
      if (element.asking === asking) element.classList.remove("waiting");
    }
  }

  /** Say in the title why there is no picture, or give it its own words back where nobody has given it others. */
  #complain(element, words) {
    if (element.title !== element.complaint) element.words = element.title;
    element.complaint = words;
    element.title = words ?? element.words;
    element.classList.toggle("failed", words !== null);
  }
}

/** Copy an element's text and say so on the button for a moment. */
export async function copyText(pressed, element) {
  const word = pressed.lastChild;
  const own = (pressed.dataset.own ??= word.data);
  try {
    await navigator.clipboard.writeText(element.textContent);
    word.data = "Copied";
  } catch (wrong) {
    // Browsers give the clipboard only to secure pages with the focus; selected it can still be copied by hand.
    console.debug(wrong.message);
    getSelection().selectAllChildren(element);
    word.data = "Selected";
  }
  setTimeout(() => (word.data = own), 1500);
}

/** Seconds as people say them. */
export function timeLeft(seconds) {
  if (seconds == null) return "";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s left`;
  return `${Math.round(seconds / 60)} min left`;
}
