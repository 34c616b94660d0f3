// What is chosen on the map: kept, walked through, or put into two groups that make a direction.

import { button, h, hand, openTab, Thumbs } from "./panel_kit.js";

const MOST_SHOWN = 24;
const MOST_KEPT = 24; // put on the shelf at once
const MOST_SENT = 4000; // of a group, evenly chosen from more
const WORDS = { a: "A", b: "B" };
const WHAT = "Select dots for each: A to B becomes a direction.";
const NOTHING = "Select some dots first, or bring one to the stage.";

export class Groups {
  #chosen = [];
  #groups = { a: [], b: [] };

  /** recipe(spot) says what a dot shows, named(spot) how it is called; click(spot), walk(spots), changed({a, b}), clear(). */
  constructor(stage, act) {
    this.stage = stage;
    this.act = act;
    this.thumbs = new Thumbs(stage, { size: 112 });
    this.words = h("p", { class: "hint" });
    this.strip = h("div", { class: "strip chosen", role: "group", "aria-label": "Selected seeds" });
    const keep = button("Keep", { icon: "keep", title: `Keep the pictures shown here on the shelf`, press: () => this.#keep() });
    const walk = button("Walk", { icon: "walk", title: "Keyframes of a walk through the selected dots", press: () => this.act.walk(this.#chosen) });
    const clear = button("", { icon: "close", kind: "icon", label: "Select nothing", title: "Select nothing", press: () => this.act.clear() });
    this.selection = h("div", { class: "selection", hidden: true }, h("div", { class: "row" }, this.words, h("span", { class: "spring" }), clear), this.strip, h("div", { class: "row wrap" }, keep, walk));
    this.buttons = Object.fromEntries(Object.keys(WORDS).map((name) => [name, this.#groupButton(name)]));
    this.make = button("Make a direction", { kind: "strong", title: "From group A to group B, in Steer", press: () => this.#hand() });
    this.reset = button("", { icon: "reset", kind: "icon reset", label: "Empty both groups", title: "Empty both groups", press: () => this.#set({ a: [], b: [] }) });
    const row = h("div", { class: "row wrap" }, this.buttons.a, this.buttons.b, this.reset);
    this.what = h("p", { class: "hint" }, WHAT);
    this.pair = h("div", { class: "pair", role: "group", "aria-label": "Two groups of dots" }, h("span", { class: "label" }, "Two groups"), row, this.what, this.make);
    this.root = h("div", { class: "groups" }, this.pair, this.selection);
    this.#tell();
  }

  /** Show what is selected: a list of spots. */
  select(spots) {
    this.#chosen = spots;
    this.selection.hidden = !spots.length;
    const shown = spots.slice(0, MOST_SHOWN);
    const count = spots.length.toLocaleString("en");
    this.words.textContent = spots.length > shown.length ? `${count} selected, the first ${shown.length} shown:` : `${count} selected:`;
    fill(this.strip, { thumbs: this.thumbs, spots: shown, act: this.act });
    this.#tell();
  }

  /** The map is another: nothing is selected, and both groups are empty. */
  empty() {
    this.select([]);
    this.#set({ a: [], b: [] });
  }

  get chosen() {
    return this.#chosen;
  }

  #groupButton(name) {
    return button("", { title: `Put the selected dots, or else the one on the stage, into group ${WORDS[name]}`, kind: `plain group-${name}`, press: () => this.#take(name) });
  }

  #take(name) {
    const here = this.#chosen.length ? this.#chosen : this.act.here();
    if (!here.length) {
      this.what.textContent = NOTHING;
      this.what.hidden = false;
      return this.stage.tell(NOTHING);
    }
    const other = name === "a" ? "b" : "a";
    const taken = new Set(here);
    this.#set({ [name]: [...here], [other]: this.#groups[other].filter((spot) => !taken.has(spot)) });
    if (this.#chosen.length) this.act.clear();
  }

  #set(groups) {
    this.#groups = groups;
    this.act.changed(this.#groups);
    this.#tell();
  }

  #tell() {
    const { a, b } = this.#groups;
    for (const [name, one] of Object.entries(this.buttons)) {
      const count = this.#groups[name].length;
      const mark = h("span", { class: `mark-${name}`, "aria-hidden": "true" });
      one.replaceChildren(mark, h("span", {}, count ? `${WORDS[name]}: ${count.toLocaleString("en")}` : WORDS[name]));
      const what = this.#chosen.length ? `the ${this.#chosen.length} selected dots` : "the dot on the stage";
      one.setAttribute("aria-label", `Group ${WORDS[name]}, ${count} dots: make it ${what}`);
    }
    this.reset.disabled = !a.length && !b.length;
    this.make.hidden = !a.length || !b.length;
    this.what.textContent = WHAT;
    this.what.hidden = !this.make.hidden;
  }

  #keep() {
    for (const spot of this.#chosen.slice(0, MOST_KEPT)) if (!this.stage.keep(this.act.recipe(spot), this.act.named(spot))) break;
  }

  #hand() {
    const sent = (spots) => evenly(spots, MOST_SENT).map((spot) => this.act.bare(spot));
    openTab("Steer");
    hand("piles", { a: sent(this.#groups.a), b: sent(this.#groups.b) });
  }
}

function evenly(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, k) => list[Math.floor((k * list.length) / most)]);
}

/** Make a strip show these spots; `notes` are said beside their names. */
export function fill(strip, { thumbs, spots, act, notes = [] }) {
  while (strip.children.length > spots.length) thumbs.drop(strip.lastChild);
  while (strip.children.length < spots.length) {
    const thumb = thumbs.make({ label: "" });
    thumb.addEventListener("click", () => act.click(thumb.spot));
    thumb.append(h("span", { class: "seed" }));
    strip.append(thumb);
  }
  spots.forEach((spot, k) => {
    const thumb = strip.children[k];
    const name = act.named(spot);
    thumb.spot = spot;
    thumb.setAttribute("aria-label", `${name[0].toUpperCase()}${name.slice(1)} to the stage`);
    thumb.title = `${thumb.getAttribute("aria-label")}${notes[k] ? `: ${notes[k]}` : ""}`;
    thumb.lastChild.textContent = spot;
    thumbs.set(thumb, act.like(spot));
  });
}
