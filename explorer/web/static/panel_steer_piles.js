// Two piles of pictures, from the shelf, the stage, the map or by seed, and the direction from one to the other.

import { asked } from "./asking.js";
import { nameGroup, radioField, textField } from "./fields.js";
import { button, h, likeStage, parseSpots, shelfMenu, take, Thumbs } from "./panel_kit.js";
import { short } from "./recipe.js";

const SHOWN = 12; // pictures of a pile that are shown
const MOST = 4096;

export function mountPiles(stage, directions, found) {
  nameGroup("steer-make", "Direction from two piles", "region");
  const thumbs = new Thumbs(stage, { size: 64 });
  const piles = { a: new Pile(stage, thumbs, "A"), b: new Pile(stage, thumbs, "B") };
  document.getElementById("steer-piles").append(
    h("p", { class: "hint" }, "Two groups that differ in one thing: the direction leads from A to B. Fill them from the shelf (“Use in…”), by lassos on the map, or by seeds."),
    h("div", { class: "columns piles" }, piles.a.root, piles.b.root),
  );
  let method = "classifier";
  const titles = { classifier: "The normal of the plane that best tells the piles apart", difference: "From the average of A to the average of B" };
  radioField("steer-learned", { name: "By", titles, start: method, change: (value) => (method = value) });
  const name = textField("steer-pile-name", { name: "Name of the direction", hint: "It is kept beside the network under this name.", read: () => {} });
  const making = new Making(stage, directions, found, document.getElementById("steer-pile-made"));
  document.getElementById("steer-pile-go").addEventListener("click", () => {
    const [a, b] = [piles.a.recipes, piles.b.recipes];
    if (!a.length || !b.length) return making.say("Put at least one picture into each pile.");
    making.run({ name: name.input.value.trim(), method, a, b }, { words: `Comparing ${a.length} and ${b.length} pictures`, field: name.input });
  });
  take("steer-pile", ({ side, recipe }) => piles[side].add([recipe]));
  take("steer-piles", ({ a, b }) => {
    piles.a.put(a ?? []);
    piles.b.put(b ?? []);
    document.getElementById("steer-make").scrollIntoView({ block: "start" });
  });
  document.addEventListener("point-renamed", ({ detail }) => Object.values(piles).forEach((pile) => pile.follow(detail)));
  stage.subscribe((recipe, network) => network && Object.values(piles).forEach((pile) => pile.draw()));
}

class Pile {
  recipes = [];
  #spots = [];
  #drawn = "";

  constructor(stage, thumbs, letter) {
    Object.assign(this, { stage, thumbs, letter });
    this.count = h("span", { class: "hint", role: "status" });
    this.pictures = h("div", { class: "pile", role: "group", "aria-label": `Pile ${letter}` });
    this.said = h("p", { class: "wrong", role: "alert", hidden: true });
    this.input = h("input", { class: "name", "aria-label": `Seeds for pile ${letter}`, placeholder: "Seeds: 3, 9-12", autocomplete: "off", spellcheck: "false" });
    this.input.addEventListener("keydown", ({ key }) => key === "Enter" && this.#addSeeds());
    const stageButton = button("Stage", { icon: "plus", kind: "brief", label: `The stage into pile ${letter}`, title: "Add the stage's picture", press: () => this.add([stage.recipe]) });
    this.clear = button("", { icon: "close", kind: "icon", label: `Empty pile ${letter}`, title: "Empty it", press: () => this.put([]) });
    this.root = h(
      "div",
      { class: "part" },
      h("div", { class: "row" }, h("span", { class: "label" }, `Pile ${letter}`), this.count, h("span", { class: "spring" }), this.clear),
      this.pictures,
      h("div", { class: "row" }, this.input, button("Add", { label: `Add the seeds to pile ${letter}`, title: "Add these seeds", press: () => this.#addSeeds() }), stageButton),
      shelfMenu(stage, { label: `Pile ${letter} from the shelf`, pick: (kept) => this.add([kept.recipe]) }),
      this.said,
    );
    this.draw();
  }

  add(recipes) {
    this.put([...this.recipes, ...recipes]);
  }

  /** Have these pictures, each once; of another network none, as a seed is another picture there. */
  put(given) {
    const here = this.stage.recipe.checkpoint;
    const strange = given.find(({ checkpoint }) => checkpoint && checkpoint !== here);
    const recipes = given.filter(({ checkpoint }) => !checkpoint || checkpoint === here);
    const spelled = new Map(recipes.map((recipe) => {
      const { checkpoint, noise, grown, ...own } = short(recipe);
      return [JSON.stringify(own), own];
    }));
    const other = strange ? `A pile stays in one network, and a picture is of the network ${strange.checkpoint}.` : "";
    this.#say(spelled.size > MOST ? `A pile holds at most ${MOST} pictures.` : other);
    this.recipes = [...spelled.values()].slice(0, MOST);
    this.draw();
  }

  /** Use the new name of a point: `renamed` gives a recipe with it. */
  follow(renamed) {
    const { checkpoint } = this.stage.recipe; // a pile's own pictures name none
    this.put(this.recipes.map((recipe) => renamed({ ...recipe, checkpoint })));
  }

  draw() {
    const { recipes } = this;
    this.count.textContent = recipes.length ? `${recipes.length} ${recipes.length === 1 ? "picture" : "pictures"}` : "empty";
    this.clear.hidden = !recipes.length;
    if (!this.stage.network) return;
    const wanted = JSON.stringify(recipes.slice(0, SHOWN));
    if (wanted !== this.#drawn) this.#make(recipes);
    this.#drawn = wanted;
    const base = likeStage(this.stage.recipe);
    this.#spots.forEach((spot, k) => this.thumbs.set(spot, { ...base, ...recipes[k], checkpoint: base.checkpoint, psi: base.psi }));
  }

  #make(recipes) {
    this.#spots.forEach((spot) => this.thumbs.drop(spot));
    this.#spots = recipes.slice(0, SHOWN).map((recipe, k) => {
      const words = recipe.point ?? `seed ${recipe.seed ?? 0}`;
      return this.thumbs.make({ label: `Take ${words} out of pile ${this.letter}`, title: `${words}: take it out`, press: () => this.put(this.recipes.filter((_, other) => other !== k)) });
    });
    const more = recipes.length - this.#spots.length;
    this.pictures.replaceChildren(...this.#spots, more > 0 ? h("span", { class: "hint" }, `and ${more} more`) : "");
  }

  #addSeeds() {
    try {
      this.add(parseSpots(this.input.value, { most: MOST, classes: this.stage.network.classes }));
      this.input.value = "";
    } catch (wrong) {
      this.#say(wrong.message);
    }
  }

  #say(sentence) {
    this.said.textContent = sentence;
    this.said.hidden = !sentence;
  }
}

/** One direction at a time being made: that it is, Cancel, and then the direction with its score, or what is wrong. */
export class Making {
  #under = null;
  #row = null;

  constructor(stage, directions, found, root) {
    Object.assign(this, { stage, directions, found });
    this.words = h("span", {});
    this.left = h("span", { class: "hint job-left" });
    const cancel = button("Cancel", { press: () => this.#under?.abort() });
    this.working = h("div", { class: "job-working", hidden: true }, h("div", { class: "row" }, this.words, h("span", { class: "spring" }), this.left, cancel), h("progress", { max: 1, "aria-label": "Progress" }));
    this.result = h("div", { class: "part", role: "status" });
    root.append(h("div", { class: "job" }, this.working), this.result);
  }

  say(sentence) {
    this.#row?.leave();
    this.#row = null;
    this.result.replaceChildren(h("p", { class: "wrong" }, sentence));
  }

  /** Ask for a direction; `field` is where its name is typed. */
  async run(wish, { words, field }) {
    if (!wish.name) {
      this.say("Give it a name first.");
      return field.focus();
    }
    this.#under?.abort();
    const under = (this.#under = new AbortController());
    this.#row?.leave();
    this.#row = null;
    this.result.replaceChildren();
    this.words.textContent = words;
    this.working.hidden = false;
    const began = performance.now();
    const clock = setInterval(() => (this.left.textContent = `${Math.round((performance.now() - began) / 1000)} s; most take a few`), 500);
    this.left.textContent = "";
    try {
      const body = JSON.stringify({ checkpoint: this.stage.recipe.checkpoint, ...wish });
      const entry = await asked("directions", { method: "POST", body, signal: under.signal });
      this.#row = this.found.row(entry);
      const good = entry.score == null || entry.believable !== false;
      this.result.replaceChildren(h("p", { class: good ? "" : "wrong" }, `${entry.name}: ${entry.words}${good ? "" : ". Do not believe what it shows."}`), h("ul", { class: "directions" }, this.#row.root));
      document.dispatchEvent(new CustomEvent("directions-changed", { detail: {} }));
    } catch (wrong) {
      if (wrong.name === "AbortError") this.result.replaceChildren(h("p", { class: "hint" }, "Cancelled."));
      else this.say(wrong.message);
    } finally {
      clearInterval(clock);
      if (this.#under === under) this.working.hidden = true;
    }
  }
}
