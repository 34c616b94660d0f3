// The real pictures nearest to the stage, in words and side by side: is this a copy? A part that a panel shows.
// Nothing is asked before "Look for it" was pressed once; then it follows the stage whenever that rests in sight.

import { answered, asked, posting } from "./asking.js";
import { pictured } from "./difference.js";
import { decoded } from "./frames.js";
import { bars } from "./nearest_bars.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, shaped, whenSeen } from "./panel_kit.js";
import { full, short } from "./recipe.js";

const AMPLIFY = 2; // of the difference
const NUMBER = 4;
const HOW = "That is: python app.py --data PATH, where PATH is a folder or zip of these pictures. A network in the folder of runs finds its own set, for whoever sits at this machine.";

export class Nearest {
  #following = false;
  #seen = false;
  #asked = ""; // the recipe that was asked for last, with its set
  #asking = null; // the AbortController of what is under way
  #known = ""; // the network whose sets the menu offers

  constructor(stage) {
    this.stage = stage;
    this.box = new JobBox(stage, { fetch: (address, options) => fetch(address === "jobs" ? "nearest/job" : address, options) });
    this.menu = h("select", { "aria-label": "Set of real pictures", hidden: true, onchange: () => this.#again() });
    this.look = button("Look for it", { kind: "plain strong", press: () => this.start(), title: "Look for the real pictures nearest to the stage" });
    this.none = h("p", { class: "empty", hidden: true });
    this.verdict = h("p", { class: "verdict" });
    this.away = h("p", {});
    this.proof = h("p", { class: "hint" }); // where it is not sure that the network was trained on this set
    this.strip = h("div", { class: "reals" });
    this.chart = h("div", { class: "held-out" });
    this.how = h("details", { class: "how" }, h("summary", {}, "How this is measured"), h("div", {}));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.note = h("p", { class: "hint", role: "status", hidden: true }, "These pictures have not been read for this network yet; look for it again to do so.");
    this.found = h("div", { class: "found", hidden: true }, h("div", { role: "status" }, this.away, this.verdict, this.proof), this.strip, this.chart, this.how);
    this.root = h(
      "section",
      { class: "ruled nearest", "aria-label": "Nearest real pictures" },
      h("h3", {}, "Nearest real pictures"),
      h("p", { class: "hint" }, "Is the stage a copy? The pictures of its training that come nearest to it, and how near those come that the network has never seen."),
      h("div", { class: "row wrap" }, this.menu, this.look),
      this.none,
      this.box.root,
      this.note,
      this.wrong,
      this.found,
    );
    shaped(stage, this.root);
    whenSeen(this.root, (seen) => {
      this.#seen = seen;
      if (seen) this.#sets();
      if (seen && this.#following) this.#ask();
    });
    stage.subscribe(() => this.#seen && this.#sets());
    document.addEventListener("drawn", ({ detail }) => {
      if (!detail.exact || !this.#seen) return;
      this.#sets();
      if (this.#following) this.#ask();
    });
  }

  /** Look for the stage's picture, and from now on for whatever it rests on. */
  async start() {
    this.#following = true;
    this.#asked = "";
    await this.#ask({ read: true });
  }

  #again() {
    this.#asked = "";
    if (this.#following) this.#ask();
  }

  /** Which sets there are for the stage's network. */
  async #sets() {
    const { network } = this.stage;
    const key = network && `${network.name} ${network.sha}`;
    if (!network || key === this.#known) return;
    this.#known = key;
    const told = await asked(`nearest?${new URLSearchParams({ checkpoint: network.name })}`).catch((wrong) => ({ sets: [], says: wrong.message, failed: true }));
    if (this.#known !== key) return;
    if (told.failed) this.#known = ""; // the next change asks again
    const before = this.menu.value;
    this.menu.replaceChildren(...told.sets.map((name) => h("option", { value: name }, name)));
    if (told.sets.includes(before)) this.menu.value = before;
    this.menu.hidden = told.sets.length < 2;
    this.look.hidden = told.sets.length === 0;
    this.none.hidden = told.sets.length > 0;
    this.none.replaceChildren(...(told.sets.length ? [] : [`${sentence(told.says ?? "")} `, told.failed ? "" : HOW]));
    if (!told.sets.length) this.#clear();
  }

  #clear(words = "") {
    this.found.hidden = true;
    this.note.hidden = true;
    this.wrong.textContent = words;
  }

  /** Ask for the stage's recipe, in place of what is under way; `read`: also where the set has to be read first. */
  async #ask({ read = false } = {}) {
    const recipe = short(full(this.stage.recipe));
    const data = this.menu.value;
    const key = JSON.stringify([recipe, data]);
    if (key === this.#asked || this.box.busy) return;
    this.#asked = key;
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.root.classList.add("waiting");
    try {
      let told = await this.#post(recipe, data, asking.signal);
      if (!told.ready && !read) return this.#unread();
      if (!told.ready) {
        this.#clear();
        const done = await this.box.run({ recipe, data: data || null, number: NUMBER }, { words: "Reading the set", take: false });
        this.#asked = "";
        if (done.state !== "done") return;
        return await this.#ask();
      }
      if (asking === this.#asking) await this.#show(recipe, data, told, asking.signal);
    } catch (wrong) {
      if (wrong.name !== "AbortError" && asking === this.#asking) this.#clear(wrong.message);
    } finally {
      if (asking === this.#asking) this.root.classList.remove("waiting");
    }
  }

  #unread() {
    this.#following = false;
    this.#clear();
    this.note.hidden = false;
  }

  #post(recipe, data, signal) {
    const query = new URLSearchParams({ number: NUMBER, ...(data ? { data } : {}) });
    return asked(`nearest?${query}`, posting(recipe, { signal }));
  }

  async #show(recipe, data, told, signal) {
    const own = await loaded(this.stage.frameURL(recipe), signal);
    const reals = await Promise.all(told.near.map((near) => loaded(this.#address(recipe, data, near), signal)));
    const [nearest] = reals;
    const difference = nearest.width === own.width && nearest.height === own.height ? pictured(own, nearest, { amplify: AMPLIFY, signed: false }) : null;
    this.strip.replaceChildren(
      figure(own, "The stage", "The stage", { kind: "own" }),
      ...reals.map((real, k) => this.#real(real, told.near[k])),
      ...(difference ? [figure(difference, `Difference ×\u00a0${AMPLIFY}`, "The difference between the stage and the nearest real picture")] : []),
    );
    this.away.textContent = told.words[0];
    this.verdict.textContent = told.words[1];
    this.verdict.dataset.verdict = told.verdict;
    this.proof.textContent = told.proof === "same" ? "" : told.how[1];
    this.proof.classList.toggle("wrong", told.proof === "other");
    this.chart.replaceChildren(bars(told));
    this.how.lastChild.replaceChildren(h("p", {}, "Distance: the root mean square of the differences of gray levels, 0 to 255, over the pixels shown. What stands beside the stage is real: treat it as you treat the set."), ...told.how.map((words) => h("p", {}, words)));
    this.wrong.textContent = "";
    this.found.hidden = false;
  }

  #real(picture, { name, distance, mirrored }) {
    const said = `${bare(name)}${mirrored ? ", mirrored" : ""}`;
    return figure(picture, `real, ${distance.toFixed(1)}`, `Real picture ${name}${mirrored ? ", mirrored" : ""}, ${distance.toFixed(1)} gray levels away`, { name: said });
  }

  #address(recipe, data, { name, mirrored }) {
    const query = new URLSearchParams({ name, mirrored, ...(data ? { data } : {}), ...(recipe.checkpoint ? { checkpoint: recipe.checkpoint } : {}) });
    if (recipe.grown) query.set("grown", recipe.grown.size.join("x"));
    return `nearest/picture?${query}`;
  }
}

/** A file's name without folders and suffix, as people call a picture. */
function bare(name) {
  return name.split("/").pop().replace(/\.[A-Za-z0-9]{1,5}$/, "");
}

/** A picture with its caption; the pixels are drawn as they are. */
function figure(pixels, words, label, { name = "", kind } = {}) {
  const canvas = h("canvas", { width: pixels.width, height: pixels.height, role: "img", "aria-label": label });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return h("figure", { class: kind, title: label }, canvas, h("figcaption", {}, h("span", {}, words), name ? h("span", { class: "hint" }, name.replaceAll("_", "_\u200b")) : null));
}

/** The pixels of a picture at an address, as ImageData. */
async function loaded(address, signal) {
  const bitmap = await decoded(await (await answered(address, { signal })).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

function sentence(words) {
  return words ? `${words[0].toUpperCase()}${words.slice(1).replace(/[^.?!]$/, "$&.")}` : "";
}
