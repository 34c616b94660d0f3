// The points that are kept beside the stage's network: to the stage, on the shelf, another name, a file, away.

import { asked, posting } from "./asking.js";
import { button, h, likeStage, shaped, Thumbs } from "./panel_kit.js";
import { renamed } from "./recipe.js";

const SIZE = 160; // pixels of a thumbnail's longer side

/** The answer of one of our addresses; throws its sentence. */
/** A point as it was found: not truncated, with its own noise where it has some. */
export function pointRecipe({ checkpoint, name, grown, label }) {
  return { checkpoint, point: name, psi: 1, ...(grown ? { grown } : {}), ...(label != null ? { label } : {}) };
}

export class Points {
  #asked = "";
  #shown = new Map(); // name -> its list item
  #renamed = new Map(); // old name -> new one, until the list has it

  constructor(stage) {
    this.stage = stage;
    this.thumbs = new Thumbs(stage, { size: SIZE });
    this.list = h("ul", { class: "points-list", "aria-label": "Points" });
    this.empty = h("p", { class: "empty" }, "No points yet. A projected picture becomes one, and so does whatever stands on the stage.");
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.input = h("input", { type: "file", accept: ".safetensors", hidden: true, "aria-label": "File of a point", onchange: () => (this.#open(this.input.files[0]), (this.input.value = "")) });
    this.root = h("div", { class: "part" }, this.wrong, this.list, this.empty, this.input);
    document.getElementById("points-rest").append(this.root);
    this.name = document.querySelector("#points-name :is(input, textarea)");
    this.name.setAttribute("aria-label", "Name of the stage’s picture");
    this.name.maxLength = 80;
    this.name.placeholder = "a name";
    this.name.addEventListener("keydown", ({ key }) => key === "Enter" && this.#keepStage());
    document.getElementById("points-keep").addEventListener("click", () => this.#keepStage());
    document.getElementById("points-open").addEventListener("click", () => this.input.click());
    document.addEventListener("points-changed", () => this.#ask());
    shaped(stage, this.root);
    stage.subscribe((_recipe, network) => {
      const key = network ? `${network.name} ${network.sha}` : "";
      if (key === this.#asked) return;
      this.#asked = key;
      this.#ask();
    });
  }

  get #query() {
    return new URLSearchParams({ checkpoint: this.stage.network.name });
  }

  async #ask() {
    if (!this.stage.network) return;
    const name = this.stage.network.name;
    try {
      const { points } = await asked(`points?${this.#query}`);
      if (this.stage.network.name === name) this.#draw(points, name);
    } catch (wrong) {
      this.#say(wrong.message);
    }
  }

  /** Show these points; items of those that stay are kept, with the focus and a half-typed name. */
  #draw(points, checkpoint) {
    this.empty.hidden = points.length > 0;
    const ofs = new Map(points.map((point) => [point.name, JSON.stringify([this.#asked, point])]));
    const held = [...this.#shown].find(([, item]) => item.contains(document.activeElement));
    const focus = held && held[1].of !== ofs.get(held[0]) ? this.#heir(...held, ofs) : null;
    for (const [name, item] of this.#shown) {
      if (item.of === ofs.get(name)) continue;
      this.thumbs.drop(item.picture);
      item.remove();
      this.#shown.delete(name);
    }
    points.forEach((point, index) => {
      const { name } = point;
      if (!this.#shown.has(name)) this.#shown.set(name, Object.assign(this.#item(point, checkpoint), { of: ofs.get(name) }));
      const item = this.#shown.get(name);
      this.thumbs.set(item.picture, { ...likeStage(this.stage.recipe), ...pointRecipe({ ...point, checkpoint }), cutoff: null, noise: "const" });
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    });
    this.#renamed.clear();
    focus?.();
  }

  /** What gives the keyboard a place when the item that has it goes: the same control of the point's new name, else of its neighbour. */
  #heir(name, item, ofs) {
    const place = [...item.querySelectorAll("button, input")].indexOf(document.activeElement);
    const stays = (one) => one && ofs.has(one);
    const names = [...this.#shown.keys()];
    const beside = [...this.list.children].map((one) => names.find((found) => this.#shown.get(found) === one));
    const at = beside.indexOf(name);
    const next = [this.#renamed.get(name), name, beside[at + 1], beside[at - 1]].find(stays);
    return () => (next ? this.#shown.get(next).querySelectorAll("button, input")[place] : this.name).focus();
  }

  #item(point, checkpoint) {
    const { name } = point;
    const recipe = pointRecipe({ ...point, checkpoint });
    const toStage = () => this.stage.show({ ...recipe, ...(this.stage.recipe.grown ? { grown: this.stage.recipe.grown } : {}) });
    const picture = this.thumbs.make({ label: `${name}: to the stage`, press: toStage });
    const title = h("input", { class: "name", value: name, maxlength: 80, "aria-label": `Name of ${name}`, onchange: () => this.#rename(name, title) });
    const file = `points/${encodeURIComponent(name)}/file?${this.#query}`;
    const item = h(
      "li",
      {},
      picture,
      title,
      h("p", { class: "hint", title: point.source ? `Projected from ${point.source}` : "" }, words(point)),
      h(
        "div",
        { class: "tools" },
        button("", { icon: "stage", kind: "icon", label: `${name}: to the stage`, title: "To the stage, as it was found", press: toStage }),
        button("", { icon: "keep", kind: "icon", label: `${name}: on the shelf`, title: "Keep on the shelf", press: () => this.stage.keep(recipe, name) }),
        button("", { icon: "save", kind: "icon", label: `${name}: download`, title: "Download, to be shared", press: () => this.stage.download(file, `${name}.safetensors`) }),
        button("", { icon: "close", kind: "icon", label: `${name}: forget`, title: "Forget this point", press: () => this.#forget(name, item) }),
      ),
    );
    item.picture = picture;
    return item;
  }

  async #act(work) {
    this.#say("");
    try {
      await work();
      document.dispatchEvent(new CustomEvent("points-changed"));
      return true;
    } catch (wrong) {
      this.#say(wrong.message);
      return false;
    }
  }

  #keepStage() {
    const { recipe, network } = this.stage;
    const name = this.name.value.trim();
    if (!name) {
      this.#say("Give the point a name first.");
      return this.name.focus();
    }
    return this.#act(async () => {
      await asked("points", posting({ name, recipe: { ...recipe, checkpoint: network.name } }));
      this.name.value = "";
      this.name.dispatchEvent(new Event("input", { bubbles: true }));
      this.stage.tell(`Kept as the point ${name}`);
    });
  }

  async #rename(old, title) {
    const wished = title.value.trim();
    if (!wished || wished === old) return (title.value = old);
    this.#renamed.set(old, wished);
    const { stage } = this;
    const { name } = stage.network;
    const kept = await this.#act(async () => asked("points/rename", posting({ checkpoint: name, old, new: wished })));
    if (!kept) return (title.value = old);
    // The shelf, the timeline and the walk keep recipes of their own, perhaps under another name of the network.
    const follow = (recipe) => (stage.find(recipe.checkpoint)?.name === name ? renamed(recipe, old, wished) : recipe);
    document.dispatchEvent(new CustomEvent("point-renamed", { detail: follow }));
    const now = follow(stage.recipe);
    if (now !== stage.recipe) stage.set(now);
  }

  /** The first press asks, the second one means it: a point has no other copy. */
  #forget(name, item) {
    const press = item.querySelector(".tools button:last-child");
    if (press.dataset.sure !== "yes") {
      press.dataset.sure = "yes";
      press.title = "Press once more to forget it for good";
      press.setAttribute("aria-label", `${name}: press once more to forget it`);
      press.addEventListener("blur", () => this.#unsure(press, name), { once: true });
      return this.#say(`Press once more to forget ${name} for good.`);
    }
    return this.#act(() => asked(`points/${encodeURIComponent(name)}?${this.#query}`, { method: "DELETE" }));
  }

  #unsure(press, name) {
    delete press.dataset.sure;
    press.title = "Forget this point";
    press.setAttribute("aria-label", `${name}: forget`);
    this.#say("");
  }

  #open(file) {
    if (!file) return;
    this.#act(async () => {
      const query = this.#query;
      query.set("name", file.name);
      const { name } = await asked(`points/open?${query}`, { method: "POST", body: file });
      this.stage.tell(`Opened as the point ${name}`);
    });
  }

  #say(text) {
    this.wrong.textContent = text;
  }
}

/** Where a point came from, in a few words. */
function words({ made, distance }) {
  if (made === "project" && distance) return `${distance.levels.toFixed(1)} levels away`;
  return made === "stage" ? "kept from the stage" : "opened";
}
