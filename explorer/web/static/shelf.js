// The shelf: pictures a person has kept, as recipes in this browser's storage.

import { describe, full, isRecipe, place, short } from "./recipe.js";

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
        card.stop.abort();
        card.element.remove();
        shown.delete(id);
      }
    }
    items.forEach((item, index) => {
      if (!shown.has(item.id)) shown.set(item.id, makeCard(stage, shelf, item));
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

function makeCard(stage, shelf, item) {
  const element = document.createElement("li");
  const stop = new AbortController();
  const picture = button("picture", "", () => stage.show(shelf.items.find(({ id }) => id === item.id).recipe));
  const image = Object.assign(document.createElement("img"), { alt: "", width: SIZE, height: SIZE, decoding: "async" });
  picture.append(image);
  // The timeline takes what is dragged there; "Use in…" does the same without a mouse.
  picture.draggable = true;
  picture.addEventListener("dragstart", ({ dataTransfer }) => {
    dataTransfer.setData("application/x-styloscope-kept", item.id);
    dataTransfer.effectAllowed = "copy";
  });
  const name = Object.assign(document.createElement("input"), { className: "name", value: item.name, maxLength: 80 });
  name.setAttribute("aria-label", "Name");
  name.addEventListener("change", () => shelf.rename(item.id, name.value));
  const left = button("icon", "i-left", () => refocus(left, right, () => shelf.move(item.id, -1)));
  const right = button("icon", "i-right", () => refocus(right, left, () => shelf.move(item.id, 1)));
  const remove = button("icon", "i-close", () => {
    // The keyboard stays on the shelf: at the next picture's button, or at the one that keeps.
    const next = element.nextElementSibling ?? element.previousElementSibling;
    shelf.remove(item.id);
    (next?.querySelector(".tools button:last-child") ?? document.querySelector("[data-do=keep]"))?.focus();
  });
  const into = document.createElement("select");
  into.className = "into";
  into.addEventListener("change", () => {
    stage.receivers.get(into.value)?.(shelf.items.find(({ id }) => id === item.id));
    into.value = "";
  });
  const tools = Object.assign(document.createElement("div"), { className: "tools" });
  tools.append(left, right, into, remove);
  element.append(picture, name, tools);
  let made = null; // the network file that the picture is asked of
  let unanswered = false;
  let wrongWords = "";
  /** Ask for the picture, once of each file that has the network's name. */
  const look = async () => {
    const sha = stage.find(item.recipe.checkpoint)?.sha ?? "";
    if (!stage.networks.length || made === sha) return;
    made = sha;
    unanswered = false;
    try {
      const blob = await stage.picture(item.recipe, { size: 2 * SIZE, signal: stop.signal });
      if (made !== sha || stop.signal.aborted) return;
      const before = image.src;
      image.src = URL.createObjectURL(blob);
      if (before) URL.revokeObjectURL(before);
      wrongWords = "";
    } catch (wrong) {
      if (made !== sha || stop.signal.aborted) return;
      unanswered = !wrong.refused;
      wrongWords = wrong.message;
    }
    picture.classList.toggle("missing", Boolean(wrongWords));
    picture.title = wrongWords || describe(item.recipe);
  };
  const lookAgain = () => {
    if (!unanswered) return;
    made = null;
    look();
  };
  look();
  const receivers = () => {
    into.replaceChildren(new Option("Use in…", ""), ...[...stage.receivers.keys()].map((title) => new Option(title, title)));
    into.hidden = stage.receivers.size === 0;
  };
  receivers();
  const update = (now, { first, last }) => {
    if (document.activeElement !== name) name.value = now.name;
    picture.title = wrongWords || describe(now.recipe);
    picture.setAttribute("aria-label", `${now.name}: to the stage`);
    into.setAttribute("aria-label", `${now.name}: into a panel`);
    label(left, `${now.name}: move left`);
    label(right, `${now.name}: move right`);
    label(remove, `${now.name}: remove`);
    [left.disabled, right.disabled] = [first, last];
  };
  return { element, stop, update, receivers, look, lookAgain };
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
