// Undo and redo are the browser's back and forward: a rest of half a second, or letting go, makes one entry, once its
// picture was shown. So what the server refuses never becomes one.

import { full, same, short } from "./recipe.js";

const REST = 500; // ms
const LAST = "styloscope.last"; // the place of the last entry, which the one that a reload comes back to does not know

/** The address that restores `recipe` on any server with the same network. */
export function addressOf(recipe) {
  const address = new URL(location.href);
  address.hash = "";
  address.searchParams.delete("panel");
  address.searchParams.set("recipe", JSON.stringify(short(recipe)));
  return address.toString();
}

/** The recipe in the page's own address: {recipe} or {error} or {}. */
export function recipeOfAddress() {
  const text = new URL(location.href).searchParams.get("recipe");
  if (text === null) return {};
  try {
    const recipe = JSON.parse(text);
    if (recipe && typeof recipe === "object" && !Array.isArray(recipe)) return { recipe };
  } catch (wrong) {
    console.debug(wrong.message);
  }
  return { error: "The recipe in this address cannot be read: it must be a JSON object." };
}

function lastKept() {
  try {
    return Number(sessionStorage.getItem(LAST) ?? NaN) || null;
  } catch (wrong) {
    console.debug(wrong.message);
    return null;
  }
}

export class History {
  #timer = 0;
  #entry = null;
  #due = null; // rested, and not shown yet
  #shown = null;
  #place = 0;
  #last = 0;

  /** go(recipe) is called when the person goes back or forward; moved({undo, redo}) when what is possible changes. */
  constructor({ go, moved }) {
    this.go = go;
    this.moved = moved;
    addEventListener("popstate", (event) => this.#pop(event));
  }

  begin(recipe) {
    const kept = history.state?.styloscope;
    this.#place = kept?.place ?? 0;
    this.#last = kept ? Math.max(this.#place, lastKept() ?? kept.last ?? 0) : 0;
    this.#entry = recipe;
    this.#write("replaceState", recipe);
  }

  /** Note a change: due after a rest, or at once when `now`. */
  note(recipe, { now }) {
    this.drop();
    if (now) this.#rested(recipe);
    else this.#timer = setTimeout(() => this.#rested(recipe), REST);
  }

  /** The picture of this short recipe was shown. */
  shown(recipe) {
    this.#shown = recipe;
    if (this.#due) this.#settle();
  }

  /** Forget the change that was noted. */
  drop() {
    clearTimeout(this.#timer);
    this.#due = null;
  }

  #rested(recipe) {
    this.#due = recipe;
    this.#settle();
  }

  #settle() {
    const recipe = this.#due;
    if (!same(short(recipe), this.#shown)) return;
    this.#due = null;
    if (same(short(recipe), short(this.#entry))) return;
    this.#entry = recipe;
    this.#place += 1;
    this.#last = this.#place;
    this.#write("pushState", recipe);
  }

  #write(how, recipe) {
    const state = { ...history.state, styloscope: { recipe: short(recipe), place: this.#place, last: this.#last } };
    try {
      history[how](state, "", addressOf(recipe));
      sessionStorage.setItem(LAST, String(this.#last));
    } catch (wrong) {
      // Browsers refuse very many entries in a short time, or any storage; the picture goes on without.
      console.debug(wrong.message);
    }
    this.#tell();
  }

  #pop(event) {
    const kept = event.state?.styloscope;
    const recipe = kept?.recipe ?? recipeOfAddress().recipe;
    if (!recipe) return;
    this.drop();
    this.#place = kept?.place ?? 0;
    this.#last = Math.max(this.#last, this.#place);
    this.#entry = full(recipe);
    this.#tell();
    this.go(this.#entry);
  }

  #tell() {
    this.moved({ undo: this.#place > 0, redo: this.#place < this.#last });
  }
}
