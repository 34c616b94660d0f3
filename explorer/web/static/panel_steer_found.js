// The directions that there are: each with a strip of the stage's picture from -3 to +3 along it, to be seen before it is
// added; kept ones with what can be done to them.

import { asked } from "./asking.js";
import { nameGroup, radioField, textField } from "./fields.js";
import { button, h, layerGroups, layersText, parseLayers, rested, Thumbs, whenSeen } from "./panel_kit.js";

const AMOUNTS = [-3, -2, -1, 0, 1, 2, 3];
const HINTS = {
  sefa: "SeFa reads from the network's weights what they amplify most, by eigenvalue; how far a picture changes along it, its strip shows.",
  pca: "PCA finds the directions in which its pictures differ most; the percentage says how much of the difference each explains.",
  kept: "What was kept under a name, beside this network.",
};
const FEW = 8;
const MOST = 64;
const SIZE = 96; // pixels of a picture in a strip

export class Found {
  #seen = false;
  #query = { method: "sefa", layers: null, count: FEW };
  #turn = 0;
  notice = ""; // what was done last
  #asked = "";
  #rows = new Map(); // by name, in the order of the list

  constructor(stage, directions) {
    this.stage = stage;
    this.directions = directions;
    this.thumbs = new Thumbs(stage, { size: SIZE });
    this.list = h("ul", { class: "directions", "aria-label": "Directions" });
    this.said = h("p", { class: "hint", role: "status" });
    this.more = button("More", { icon: "plus", title: "Eight more", press: () => this.#change({ count: Math.min(MOST, this.#query.count + FEW) }) });
    const file = h("input", { type: "file", accept: ".safetensors", hidden: true, "aria-label": "A direction's file" });
    file.addEventListener("change", () => this.#open(file));
    const open = button("Open a file…", { press: () => file.click(), title: "A direction that somebody has shared" });
    document.getElementById("steer-found").append(this.list, h("div", { class: "row wrap" }, this.said, h("span", { class: "spring" }), this.more, open, file));
    this.#mountSettings();
    const settled = rested(() => this.draw(), 400);
    stage.subscribe((recipe, network) => {
      if (network && `${network.name} ${network.sha}` !== this.#asked && this.#seen) this.ask();
      settled();
    });
    document.addEventListener("directions-changed", () => this.#seen && this.ask());
    whenSeen(document.getElementById("steer-panel"), (now) => {
      this.#seen = now;
      if (now && this.stage.network) this.ask();
    });
  }

  #change(patch) {
    this.#query = { ...this.#query, ...patch };
    this.notice = "";
    this.ask();
  }

  #mountSettings() {
    const titles = { sefa: "Eigenvectors of the layers' style weights: what changes the styles most", pca: "Principal components of W: along what pictures vary most", kept: "Directions with a name, beside this network" };
    const words = h("p", { class: "hint" }, HINTS.sefa);
    document.querySelector("#steer-find-title h3").after(words);
    radioField("steer-method", { name: "Found by", titles, start: "sefa", change: (method) => {
      words.textContent = HINTS[method];
      this.#change({ method, count: FEW });
    } });
    nameGroup("steer-find", "Directions", "region");
    const later = rested(() => this.ask(), 300);
    const field = textField("steer-layers", {
      name: "Layers of the directions",
      hint: "A range, such as 0-3.",
      read: (text) => {
        const count = this.stage.network?.layers ?? MOST;
        const layers = /^\s*(all)?\s*$/i.test(text) ? null : parseLayers(text, count);
        if (layers && !layers.size) throw new Error(`This network has the layers 0 to ${count - 1}.`);
        if (layers && Math.max(...layers) - Math.min(...layers) >= layers.size) throw new Error("One range, such as 2-5.");
        this.#query = { ...this.#query, layers: layers && layers.size < count ? layersText(layers) : null };
        this.#press();
        later();
      },
    });
    for (const word of ["all", "coarse", "middle", "fine"]) {
      document.getElementById(`steer-${word}`).addEventListener("click", () => {
        field.input.value = word === "all" ? "all" : layersText(layerGroups(this.stage.network.layers)[word]);
        field.input.dispatchEvent(new Event("input", { bubbles: true }));
      });
    }
    this.#press();
  }

  #press() {
    const groups = this.stage.network ? layerGroups(this.stage.network.layers) : {};
    for (const word of ["all", "coarse", "middle", "fine"]) {
      const layers = word === "all" ? null : layersText(groups[word] ?? []);
      document.getElementById(`steer-${word}`).setAttribute("aria-pressed", String(layers === this.#query.layers));
    }
  }

  /** Ask for the directions of the settings, and show them. */
  async ask() {
    const turn = ++this.#turn;
    const { method, count, layers } = this.#query;
    for (const id of ["steer-layers", "steer-groups"]) document.getElementById(id).hidden = method === "kept";
    const { network } = this.stage;
    this.#asked = `${network.name} ${network.sha}`;
    try {
      const entries = await this.directions.list({ method, count, ...(layers && method === "sefa" ? { layers } : {}) });
      if (turn !== this.#turn) return;
      const shown = method === "kept" ? entries : entries.filter(({ kept }) => !kept);
      this.said.classList.remove("wrong");
      this.said.textContent = shown.length ? this.notice : "Nothing is kept beside this network yet. Keep a direction under a name, or make one below.";
      this.more.hidden = method === "kept" || count >= MOST || shown.length < count;
      this.#show(shown.map((entry) => (entry.kept || entry.layers ? entry : { ...entry, layers })));
    } catch (wrong) {
      if (turn !== this.#turn) return;
      this.said.classList.add("wrong");
      this.said.textContent = wrong.message;
    }
  }

  #show(entries) {
    const old = this.#rows;
    this.#rows = new Map();
    for (const entry of entries) {
      const key = JSON.stringify(entry);
      this.#rows.set(key, old.get(key) ?? new Row(this, entry));
      old.delete(key);
    }
    for (const row of old.values()) row.leave();
    this.list.replaceChildren(...[...this.#rows.values()].map(({ root }) => root));
    this.draw();
  }

  draw() {
    if (!this.#seen || !this.stage.network) return;
    for (const row of this.#rows.values()) row.draw();
  }

  /** A row of its own, for a direction that was just made; the caller puts it into the page. */
  row(entry) {
    const row = new Row(this, entry);
    row.draw();
    return row;
  }

  async #open(file) {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    try {
      const query = new URLSearchParams({ checkpoint: this.stage.recipe.checkpoint });
      const entry = await asked(`directions/open?${query}`, { method: "POST", body: chosen });
      this.stage.tell(`Opened ${entry.name}`);
      this.kept();
    } catch (wrong) {
      this.said.classList.add("wrong");
      this.said.textContent = `${chosen.name}: ${wrong.message}`;
    }
  }

  /** Show what is kept. */
  kept() {
    document.querySelector("#steer-method input[value=kept]").click();
    document.dispatchEvent(new CustomEvent("directions-changed", { detail: {} }));
  }
}

class Row {
  constructor(found, entry) {
    Object.assign(this, { found, entry, stage: found.stage });
    const { name, words, kept, believable } = entry;
    this.strip = AMOUNTS.map((amount) => this.#picture(amount));
    const add = button("Add", { icon: "plus", kind: "brief", label: `Add ${name}`, title: "Add a slider for it above", press: () => this.#put(1) });
    const title = kept ? this.#nameField() : h("span", { class: "label" }, name);
    const told = h("span", { class: believable === false ? "hint told wrong" : "hint told", title: words }, words);
    const scored = entry.score != null || words.length > 40; // a sentence, which has a line of its own
    this.said = h("p", { class: "wrong", role: "alert", hidden: true });
    const tools = kept ? this.#keptTools() : [this.#keeper()];
    this.root = h(
      "li",
      { class: "direction" },
      h("div", { class: "row wrap" }, title, scored ? null : told, h("span", { class: "spring" }), ...tools, add),
      scored ? told : "",
      h("div", { class: "strip", role: "group", "aria-label": `${name} from -3 to +3` }, this.strip),
      this.said,
    );
  }

  #picture(amount) {
    const shown = amount > 0 ? `+${amount}` : String(amount).replace("-", "−");
    const picture = this.found.thumbs.make({ label: `${this.entry.name} at ${shown}`, title: `To the stage: ${shown}`, kind: "thumb", press: () => this.#put(amount) });
    picture.append(h("span", { class: "seed" }, shown));
    return picture;
  }

  /** Its slider appears above: what the hand has pressed stays under it. */
  #put(amount) {
    const panels = document.getElementById("panels");
    const top = () => this.root.getBoundingClientRect().top;
    const [before, unscrolled] = [top(), panels.scrollTop === 0]; // a scrolled list stays by itself
    this.found.directions.put(this.entry, amount);
    if (unscrolled) panels.scrollTop += top() - before;
  }

  /** The strip shows the stage's picture with this direction at each amount, the others as they are. */
  draw() {
    const { name, layers } = this.entry;
    const { recipe } = this.stage;
    const mine = recipe.steer.find(({ direction }) => direction === name) ?? { direction: name, ...(layers ? { layers } : {}) };
    const others = recipe.steer.filter(({ direction }) => direction !== name);
    this.strip.forEach((picture, k) => {
      picture.setAttribute("aria-pressed", String(mine.amount === AMOUNTS[k]));
      this.found.thumbs.set(picture, { ...recipe, steer: [...others, { ...mine, amount: AMOUNTS[k] }] });
    });
  }

  leave() {
    this.strip.forEach((picture) => this.found.thumbs.drop(picture));
    this.root.remove();
  }

  /** Ask for no more pictures under a name that is about to go. */
  #hush() {
    this.strip.forEach((picture) => picture.asking?.abort());
  }

  #nameField() {
    const { name } = this.entry;
    const input = h("input", { class: "name", value: name, maxlength: 80, "aria-label": `Name of ${name}`, autocomplete: "off", spellcheck: "false" });
    input.addEventListener("keydown", ({ key }) => key === "Enter" && input.blur());
    input.addEventListener("change", () => this.#do(async () => {
      const wanted = input.value.trim();
      input.value = name;
      if (!wanted || wanted === name) return;
      this.#hush();
      await asked("directions/rename", { method: "POST", body: JSON.stringify({ checkpoint: this.stage.recipe.checkpoint, name, new: wanted }) });
      this.found.directions.renamed(name, wanted);
    }));
    return input;
  }

  #keptTools() {
    const { name } = this.entry;
    const at = () => `checkpoint=${encodeURIComponent(this.stage.recipe.checkpoint)}`;
    const file = button("", { icon: "save", kind: "icon", label: `Download ${name}`, title: "Download its file, to share it", press: () => this.stage.download(`directions/${encodeURIComponent(name)}/file?${at()}`, `${name}.safetensors`) });
    const forget = button("Forget", { label: `Forget ${name}`, title: "Remove its file", press: () => {
      // Its file cannot be brought back, so it is asked twice.
      if (forget.dataset.sure) return this.#do(async () => {
        this.#hush();
        await asked(`directions/${encodeURIComponent(name)}?${at()}`, { method: "DELETE" });
        this.found.directions.renamed(name, null);
      });
      forget.dataset.sure = "1";
      forget.lastChild.textContent = "Sure?";
      setTimeout(() => (delete forget.dataset.sure, (forget.lastChild.textContent = "Forget")), 4000);
    } });
    return [file, forget];
  }

  /** A name to keep it under. */
  #keeper() {
    const { name } = this.entry;
    const input = h("input", { class: "name", maxlength: 80, hidden: true, placeholder: "A name to keep it", "aria-label": `Keep ${name} as`, autocomplete: "off", spellcheck: "false" });
    const keep = () => this.#do(async () => {
      const wanted = input.value.trim();
      input.hidden = false;
      if (!wanted) return input.focus();
      await asked("directions", { method: "POST", body: JSON.stringify({ checkpoint: this.stage.recipe.checkpoint, name: wanted, direction: name }) });
      input.value = "";
      input.hidden = true;
      this.stage.tell(`Kept as ${wanted}`);
      this.found.notice = `Kept as ${wanted}: it is among the kept ones.`;
    });
    input.addEventListener("keydown", ({ key }) => key === "Enter" && keep());
    return h("span", { class: "row keeper" }, input, button("", { icon: "keep", kind: "icon", label: `Keep ${name}`, title: "Keep it under a name", press: keep }));
  }

  async #do(act) {
    this.said.hidden = true;
    try {
      await act();
      document.dispatchEvent(new CustomEvent("directions-changed", { detail: {} }));
    } catch (wrong) {
      this.said.textContent = wrong.message;
      this.said.hidden = false;
      this.strip.forEach((picture) => (picture.key = null)); // what was given up
      this.draw();
    }
  }
}
