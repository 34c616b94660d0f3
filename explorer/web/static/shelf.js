// The shelf: pictures a person has kept, as recipes in this browser's storage.

import { describe, full, isRecipe, place, same, short } from "./recipe.js";

const KEY = "styloscope.shelf";
const MOST = 200;
const SIZE = 96; // pixels of a thumbnail's longer side, doubled for fine screens

export class Shelf {
  #items = [];
  #heard = new Set();

  constructor({ say }) {
    this.say = say;
    this.#read();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#read();
      this.#tell();
    });
    document.addEventListener("point-renamed", ({ detail }) => this.follow(detail));
  }

  get items() {
    return this.#items.map((item) => ({ ...item }));
  }

  subscribe(hear) {
    this.#heard.add(hear);
    hear(this.items);
    return () => this.#heard.delete(hear);
  }

  keep(recipe, name) {
    if (this.#items.length >= MOST) {
      this.say(`The shelf holds at most ${MOST} pictures; remove one first.`);
      return null;
    }
    const id = [...crypto.getRandomValues(new Uint32Array(2))].map((part) => part.toString(36)).join("");
    this.#change([...this.#items, { id, name: name || place(recipe), recipe: short(recipe) }]);
    return id;
  }

  rename(id, name) {
    this.#change(this.#items.map((item) => (item.id === id ? { ...item, name: name.trim().slice(0, 80) || item.name } : item)));
  }

  remove(id) {
    this.#change(this.#items.filter((item) => item.id !== id));
  }

  /** Move one picture `step` places along. */
  move(id, step) {
    const from = this.#items.findIndex((item) => item.id === id);
    const to = from + step;
    if (from < 0 || to < 0 || to >= this.#items.length) return;
    const items = [...this.#items];
    items.splice(to, 0, ...items.splice(from, 1));
    this.#change(items);
  }

  /** Put every recipe through `follow`, which gives back itself or what it is now; a name that says where it is says so still. */
  follow(follow) {
    const items = this.#items.map((item) => {
      const recipe = follow(item.recipe);
      if (recipe === item.recipe) return item;
      return { ...item, recipe, name: item.name === place(item.recipe) ? place(recipe) : item.name };
    });
    if (items.some((item, index) => item !== this.#items[index])) this.#change(items);
  }

  #change(items) {
    this.#items = items;
    try {
      localStorage.setItem(KEY, JSON.stringify(items));
    } catch (wrong) {
      this.say(`This browser does not let the shelf be kept (${wrong.name}); it lasts until the page is closed.`);
    }
    this.#tell();
  }

  #read() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      this.#items = (Array.isArray(kept) ? kept : [])
        .filter((item) => item && typeof item.id === "string" && isRecipe(item.recipe))
        .map((item) => ({ id: item.id, name: String(item.name ?? ""), recipe: full(item.recipe) }));
    } catch (wrong) {
      // Storage that is switched off or damaged is an empty shelf.
      console.debug(wrong.message);
      this.#items = [];
    }
  }

  #tell() {
    this.#items = this.#items.map((item) => ({ ...item, recipe: full(item.recipe) }));
    for (const hear of this.#heard) hear(this.items);
  }
}

/** Draw the shelf into the page. */
export function mountShelf(stage, shelf) {
  const [list, empty] = [document.getElementById("shelf-list"), document.getElementById("shelf-empty")];
  const shown = new Map();
  const draw = (items) => {
    empty.hidden = items.length > 0;
    for (const [id, card] of shown) {
      if (!items.some((item) => item.id === id)) {
        card.leave();
        shown.delete(id);
      }
    }
    items.forEach((item, index) => {
      if (!shown.has(item.id)) shown.set(item.id, new Card(stage, shelf, item));
      const card = shown.get(item.id);
      card.update(item, { first: index === 0, last: index === items.length - 1 });
      if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
    });
  };
  shelf.subscribe(draw);
  stage.subscribeNetworks(() => {
    for (const card of shown.values()) card.look();
  });
  // A server that answers again is asked for what it owes; previews are too many for that.
  document.addEventListener("drawn", ({ detail }) => {
    if (detail.exact) for (const card of shown.values()) card.lookAgain();
  });
  stage.subscribeReceivers(() => {
    for (const card of shown.values()) card.receivers();
  });
}

/** A kept picture in the page: the picture itself, its name, and the tools that move it, use it and take it away. */
class Card {
  #stop = new AbortController();
  #made = null; // the network file that the picture is asked of
  #unanswered = false;
  #wrong = ""; // why there is no picture

  constructor(stage, shelf, item) {
    Object.assign(this, { stage, shelf, item });
    this.element = document.createElement("li");
    this.image = Object.assign(document.createElement("img"), { alt: "", width: SIZE, height: SIZE, decoding: "async" });
    this.picture = this.#makePicture();
    this.name = this.#makeName();
    this.left = button("icon", "i-left", () => refocus(this.left, this.right, () => shelf.move(item.id, -1)));
    this.right = button("icon", "i-right", () => refocus(this.right, this.left, () => shelf.move(item.id, 1)));
    this.away = button("icon", "i-close", () => this.#remove());
    this.into = this.#makeInto();
    const tools = Object.assign(document.createElement("div"), { className: "tools" });
    tools.append(this.left, this.right, this.into, this.away);
    this.element.append(this.picture, this.name, tools);
    this.look();
    this.receivers();
  }

  #makePicture() {
    const picture = button("picture", "", () => this.stage.show(this.item.recipe));
    picture.append(this.image);
    // The timeline takes what is dragged there; "Use in…" does the same without a mouse.
    picture.draggable = true;
    picture.addEventListener("dragstart", ({ dataTransfer }) => {
      dataTransfer.setData("application/x-styloscope-kept", this.item.id);
      dataTransfer.effectAllowed = "copy";
    });
    return picture;
  }

  #makeName() {
    const name = Object.assign(document.createElement("input"), { className: "name", value: this.item.name, maxLength: 80 });
    name.setAttribute("aria-label", "Name");
    name.addEventListener("change", () => this.shelf.rename(this.item.id, name.value));
    return name;
  }

  #makeInto() {
    const into = Object.assign(document.createElement("select"), { className: "into" });
    into.addEventListener("change", () => {
      this.stage.receivers.get(into.value)?.({ ...this.item });
      into.value = "";
    });
    return into;
  }

  #remove() {
    // The keyboard stays on the shelf: at the next picture's button, or at the one that keeps.
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.shelf.remove(this.item.id);
    (next?.querySelector(".tools button:last-child") ?? document.querySelector("[data-do=keep]"))?.focus();
  }

  /** Ask for the picture, once of each file that has the network's name. */
  async look() {
    const { recipe } = this.item;
    const sha = this.stage.find(recipe.checkpoint)?.sha ?? "";
    if (!this.stage.networks.length || this.#made === sha) return;
    this.#made = sha;
    this.#unanswered = false;
    const stale = () => this.#made !== sha || this.item.recipe !== recipe || this.#stop.signal.aborted;
    try {
      const blob = await this.stage.picture(recipe, { size: 2 * SIZE, signal: this.#stop.signal });
      if (stale()) return;
      const before = this.image.src;
      this.image.src = URL.createObjectURL(blob);
      if (before) URL.revokeObjectURL(before);
      this.#wrong = "";
    } catch (wrong) {
      if (stale()) return;
      this.#unanswered = !wrong.refused;
      this.#wrong = wrong.message;
    }
    this.#say();
  }

  lookAgain() {
    if (!this.#unanswered) return;
    this.#made = null;
    this.look();
  }

  #say() {
    this.picture.classList.toggle("missing", Boolean(this.#wrong));
    this.picture.title = this.#wrong || describe(this.item.recipe);
  }

  /** Offer the panels that take kept pictures. */
  receivers() {
    const { receivers } = this.stage;
    this.into.replaceChildren(new Option("Use in…", ""), ...[...receivers.keys()].map((title) => new Option(title, title)));
    this.into.hidden = receivers.size === 0;
  }

  update(item, { first, last }) {
    const other = !same(item.recipe, this.item.recipe);
    // The recipe that a picture is under way for stays the one it is compared with.
    this.item = other ? item : { ...item, recipe: this.item.recipe };
    if (document.activeElement !== this.name) this.name.value = item.name;
    this.#say();
    this.picture.setAttribute("aria-label", `${item.name}: to the stage`);
    this.into.setAttribute("aria-label", `${item.name}: into a panel`);
    label(this.left, `${item.name}: move left`);
    label(this.right, `${item.name}: move right`);
    label(this.away, `${item.name}: remove`);
    [this.left.disabled, this.right.disabled] = [first, last];
    if (!other) return;
    this.#made = null;
    this.look();
  }

  leave() {
    this.#stop.abort();
    this.element.remove();
  }
}

function refocus(own, other, act) {
  act();
  (own.disabled ? other : own).focus();
}

function label(element, text) {
  element.setAttribute("aria-label", text);
  element.title = text;
}

function button(className, icon, act) {
  const element = Object.assign(document.createElement("button"), { type: "button", className });
  if (icon) element.innerHTML = `<svg><use href="#${icon}"/></svg>`;
  element.addEventListener("click", act);
  return element;
}
