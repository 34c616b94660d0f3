// A person's own picture: dropped or chosen, projected while they watch, kept as a point.

import { asked, heard, posting } from "./asking.js";
import { radioField } from "./fields.js";
import { Nearest } from "./nearest.js";
import { JobBox } from "./panel_jobs.js";
import { button, className, h, openTab, present, hand, take, sides } from "./panel_kit.js";
import { Points, pointRecipe } from "./panel_project_points.js";

const LIMIT = 64 * 2 ** 20; // bytes
const FREEDOM = "One w a layer comes closer to the picture; one w stays closer to what the network knows.";
const PARTS = ["#project-picture", "#project-result", "#points-rest", "#project-nearest", "#project-space [type=radio]", "#project-steps [type=radio]", "#project-noise [type=radio]", "#points-name input, #points-name textarea", "#points-keep", "#points-open"];

/** A picture that came another way is handed over to this panel, also before its tab was first opened. */
export function announce() {
  document.addEventListener("project-offered", ({ detail }) => {
    openTab("Project");
    hand("project-picture", detail);
  });
}

export function mount(stage) {
  present(PARTS, () => new Project(stage));
}

class Project {
  #file = null;
  #settings = { space: "w+", steps: "500", noise_maps: "false" };
  #stopping = false;
  #turn = 0; // which wish counts
  #asked = null;

  constructor(stage) {
    this.stage = stage;
    this.job = new JobBox(stage, { fetch: (address, options) => this.#fetch(address, options) });
    this.stopButton = button("Stop and keep", { title: "Keep what is there by now", press: () => this.#stop() });
    this.job.cancelButton.before(this.stopButton);
    this.#mountPicture();
    this.#mountSettings();
    this.points = new Points(stage);
    document.getElementById("project-nearest").append(new Nearest(stage).root);
    take("project-picture", (file) => this.#lay(file));
    stage.subscribe((_recipe, network) => this.#follow(network));
  }

  #mountPicture() {
    this.input = h("input", { type: "file", accept: "image/*,.tif,.tiff", hidden: true, "aria-label": "Picture to project", onchange: () => (this.take(this.input.files[0]), (this.input.value = "")) });
    this.choose = button("Choose a picture…", { press: () => this.input.click(), kind: "plain strong" });
    this.again = button("Again", { press: () => this.#run() });
    this.again.hidden = true;
    this.classes = h("select", { "aria-label": "Class to project into", hidden: true });
    this.theirs = figure("Your picture");
    this.ours = figure("In the network");
    this.pair = h("div", { class: "project-pair", hidden: true }, this.theirs.root, this.ours.root);
    this.drop = h(
      "div",
      { class: "project-drop" },
      h("p", {}, "Drop a picture here, or choose one: gray or colour, of any size. It stays on this explorer’s computer."),
      h("div", { class: "row wrap" }, this.choose, this.again, this.classes, this.input),
    );
    for (const name of ["dragover", "dragleave", "drop"]) this.drop.addEventListener(name, (event) => this.#dragged(event));
    this.told = h("div", { class: "project-told", role: "status" });
    document.getElementById("project-picture").append(this.drop);
    document.getElementById("project-result").append(this.job.root, this.pair, this.told);
  }

  #mountSettings() {
    const set = (key) => (value) => (this.#settings[key] = value);
    const titles = { "w+": "Each layer gets a w of its own: closer to the picture", w: "One w for all layers: closer to what the network knows" };
    document.getElementById("project-settings").append(h("p", { class: "hint" }, FREEDOM));
    radioField("project-space", { name: "Freedom", start: "w+", titles, change: set("space") });
    radioField("project-steps", { name: "Length", start: "500", titles: { 125: "125 steps: a first look", 500: "500 steps", 2000: "2000 steps, for the last bit" }, change: set("steps") });
    radioField("project-noise", { name: "Noise maps", start: "const", titles: { const: "As the network’s other pictures", maps: "Fine grain is fitted too; mixing and walking do not carry it" }, change: (value) => (this.#settings.noise_maps = String(value === "maps")) });
  }

  #follow(network) {
    if (!network) return;
    const key = `${network.name} ${network.sha}`;
    if (this.classes.dataset.of === key) return;
    this.classes.dataset.of = key;
    this.classes.hidden = !network.classes;
    this.classes.replaceChildren(h("option", { value: "" }, "Search all classes"), ...Array.from({ length: network.classes }, (_, k) => h("option", { value: k }, className(network, k))));
    const [height, width] = sides(network);
    this.pair.style.setProperty("--shape", `${width} / ${height}`);
  }

  #dragged(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    // The page itself would take a dropped PNG for a recipe.
    event.preventDefault();
    event.stopPropagation();
    document.getElementById("stage-drop").hidden = true;
    this.drop.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.take(event.dataTransfer.files[0]);
  }

  /** Project this file, in place of what is under way. */
  take(file) {
    if (!file) return;
    if (file.size > LIMIT) return this.#say(tooLarge(file), true);
    this.#file = file;
    this.#run();
  }

  /** Lay a picture out that is looked for once somebody says so: by which settings is theirs to choose. */
  #lay(file) {
    if (file.size > LIMIT) return this.#say(tooLarge(file), true);
    this.#file = file;
    this.#word("Start", `Look for ${file.name} by these settings`);
    this.#say(`${file.name} is ready. Choose below how it is looked for, then press Start.`);
    // What is under way keeps its pictures.
    if (!this.job.busy) this.#lie(file, "Not looked for yet");
    focusOnceSeen(this.again);
  }

  /** What the button says that runs: Start before the first time, Again after it. */
  #word(word, title) {
    this.again.textContent = word;
    this.again.title = title;
    this.again.classList.toggle("strong", word === "Start");
    this.choose.classList.remove("strong"); // what comes next is another button
    this.again.hidden = false;
  }

  /** Put a picture on the left, and words where the network's will be. */
  #lie(file, words) {
    this.theirs.url(URL.createObjectURL(file));
    this.theirs.caption("Your picture");
    this.ours.clear(words);
    this.pair.hidden = false;
  }

  async #run() {
    const { network } = this.stage;
    if (!this.#file || !network) return;
    const [file, name] = [this.#file, network.name];
    const query = new URLSearchParams({ ...this.#settings, checkpoint: name, name: file.name, ...(this.classes.value && !this.classes.hidden ? { label: this.classes.value } : {}) });
    const { grown } = this.stage.recipe;
    if (grown) query.set("grown", `${grown.size.join("x")}:${grown.alpha ?? 1}`);
    this.#word("Again", "The same picture by these settings");
    this.#lie(file, "Opening the network");
    this.told.replaceChildren();
    this.#stopping = false;
    this.stopButton.disabled = true;
    const turn = ++this.#turn;
    this.#asked = { query, file };
    const done = await this.job.run({ verb: "project", turn }, { words: `Looking for ${file.name}`, take: false });
    if (turn !== this.#turn) return;
    if (done.state !== "done") return this.#ended(done);
    try {
      await this.#keep(done.url.split("/")[1], file, name, grown);
    } catch (wrong) {
      this.#say(wrong.message, true);
    }
  }

  #ended({ state }) {
    if (state === "cancelled") this.ours.caption("Cancelled");
    this.again.focus();
  }

  async #keep(id, file, checkpoint, grown) {
    const stem = file.name.replace(/\.[^.]*$/, "");
    const status = await asked(`project/${id}`);
    if (status.preview) this.#show(status.preview);
    const point = await asked(`project/${id}/keep`, posting({ checkpoint, name: stem, source: file.name }));
    const recipe = pointRecipe({ checkpoint, name: point.name, grown, label: point.label });
    this.told.replaceChildren(
      h("div", { class: "row wrap" }, button("To the stage", { icon: "stage", kind: "plain strong", press: () => this.stage.show(recipe) }), button("Keep on the shelf", { icon: "keep", press: () => this.stage.keep(recipe, point.name) })),
      h("p", {}, h("strong", {}, `Kept as the point ${point.name}. `), sentence(status.preview?.words ?? "")),
    );
    this.stage.tell(`Kept as the point ${point.name}`);
    document.dispatchEvent(new CustomEvent("points-changed"));
  }

  async #stop() {
    if (!this.job.id) return;
    this.#stopping = true;
    this.stopButton.disabled = true;
    this.job.left.textContent = "stopping";
    await heard(`project/${this.job.id}/stop`, { method: "POST" }).catch((wrong) => this.#say(wrong.message, true));
  }

  /** The job box asks as for any job; a projection begins with the picture itself, and its status has what is reached. */
  async #fetch(address, options = {}) {
    if (address === "jobs") {
      const { query, file } = this.#asked;
      return fetch(`project?${query}`, { method: "POST", body: file });
    }
    if (options.method) return fetch(address, options);
    const response = await fetch(address.replace(/^jobs\//, "project/"));
    if (response.ok) {
      const status = await response.clone().json();
      if (status.preview) this.#show(status.preview);
      this.stopButton.disabled = !status.preview || this.#stopping;
    }
    return response;
  }

  #show({ picture, target, stage: doing, words, distance }) {
    this.theirs.url(`data:image/png;base64,${target}`);
    this.ours.url(`data:image/png;base64,${picture}`);
    this.theirs.caption("As the network sees it");
    this.ours.caption(`${distance.levels.toFixed(1)} gray levels away${doing ? `, ${doing}` : ""}`);
    this.ours.root.title = words;
  }

  #say(text, wrong = false) {
    this.told.replaceChildren(h("p", { class: wrong ? "wrong" : null, role: wrong ? "alert" : null }, text));
  }
}

function tooLarge({ name, size }) {
  return `${name} has ${Math.round(size / 2 ** 20)} MB; a picture has at most 64.`;
}

/** Give a button the keyboard, at once or when the tab that it is in is shown. */
function focusOnceSeen(element) {
  new ResizeObserver((_, watch) => {
    if (!element.checkVisibility()) return;
    watch.disconnect();
    element.focus();
  }).observe(element);
}

function sentence(words) {
  return words ? words[0].toUpperCase() + words.slice(1) : "";
}

/** A picture with its caption. */
function figure(label) {
  const image = h("img", { alt: label, draggable: "false" });
  const line = h("figcaption", { class: "hint" }, label);
  const root = h("figure", { class: "project-figure" }, h("div", { class: "project-well" }, image), line);
  const drop = () => image.src.startsWith("blob:") && URL.revokeObjectURL(image.src);
  // Browsers do not show every kind of picture, such as TIFF: the network's view of it comes soon.
  image.addEventListener("error", () => image.removeAttribute("src"));
  return {
    root,
    url: (address) => (image.src === address ? null : (drop(), (image.src = address))),
    clear: (words) => (drop(), image.removeAttribute("src"), (line.textContent = words)),
    caption: (words) => (line.textContent = words),
  };
}
