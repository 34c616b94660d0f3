// A small training started from here: on head phantoms or a folder, one at a time, with its terminal's line and a Stop.

import { button, choice, h, textField } from "./panel_kit.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const LENGTHS = [[400, "400", "Under a minute: does everything work?"], [4000, "4,000", "Some minutes"], [20000, "20,000", "An hour or so on two cores of a CPU"]];

export class Starter {
  #names = [];
  #typed = false;

  /** start(wish) asks the server and throws its sentence; stop() asks the training to save and end. */
  constructor({ start, stop }) {
    this.act = { start, stop };
    this.wish = { data: "phantoms", size: 32, images: 400 };
    this.path = textField({ label: "Folder or zip", value: "", hint: "A path on this machine.", read: () => {} });
    this.path.root.hidden = true;
    this.source = choice({
      label: "Pictures",
      options: [["phantoms", "Head phantoms", "Random heads, drawn on the fly"], ["folder", "A folder", "A folder or zip of pictures on this machine"]],
      value: "phantoms",
      oninput: (value) => (this.path.root.hidden = value === "phantoms"),
    });
    this.sizes = choice({ label: "Size", options: [["32", "32 × 32"], ["64", "64 × 64", "About three times as long"]], value: "32", oninput: (value) => (this.wish.size = Number(value)) });
    this.lengths = choice({ label: "Images", options: LENGTHS.map(([count, words, title]) => [String(count), words, title]), value: "400", oninput: (value) => (this.wish.images = Number(value)) });
    this.name = textField({ label: "Name", value: "try-1", hint: "Of the run: letters, digits and . _ -", read: (text) => this.#check(text) });
    this.name.input.addEventListener("input", () => (this.#typed = true));
    this.go = button("Start", { kind: "plain strong", press: () => this.#start() });
    this.go.id = "training-start";
    this.wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    this.root = h(
      "section",
      { class: "ruled starter", "aria-label": "Start a training" },
      h("h3", {}, "Start a small training"),
      h("p", { class: "hint" }, "The smoke preset, beside everything else at low priority: to see a GAN learn, not to get a good one."),
      h("div", { class: "row wrap settings" }, this.source.root, this.sizes.root, this.lengths.root),
      h("div", { class: "columns" }, this.path.root, this.name.root),
      this.wrong,
      h("div", { class: "row" }, this.go),
    );
    this.#terminal();
  }

  /** What its terminal shows, and Stop. */
  #terminal() {
    this.line = h("code", {});
    this.words = h("span", { class: "label" });
    this.stop = button("Stop", { title: "It saves and ends; the run can be gone on with in a terminal", press: () => this.#stop() });
    this.stop.id = "training-stop";
    this.working = h("section", { class: "terminal", "aria-label": "The training started here", hidden: true }, h("div", { class: "row" }, this.words, h("span", { class: "spring" }), this.stop), h("pre", { "aria-label": "Terminal", tabindex: 0 }, this.line));
  }

  /** What the server allows, and which names are taken. */
  offer({ folder, names }) {
    const [, other] = this.source.root.querySelectorAll("input");
    other.disabled = !folder;
    other.closest("label").title = folder ? "A folder or zip of pictures on this machine" : "Only where the explorer listens on 127.0.0.1 and nobody else reaches it";
    this.#names = names;
    if (!this.#typed) this.#suggest();
  }

  /** Follow the training that was started last; null where there is none. */
  follow(own) {
    const alive = own && ["running", "stopping"].includes(own.state);
    if (this.busy && !alive) {
      this.#typed = false;
      this.#names.push(own?.name);
      this.#suggest();
    }
    this.busy = Boolean(alive);
    this.go.disabled = this.busy;
    this.go.title = this.busy ? "One at a time: stop the one that runs, or wait for its end" : "";
    this.working.hidden = !alive;
    if (own?.state === "failed") this.#refuse(own.error);
    if (!alive) return;
    this.words.textContent = own.state === "stopping" ? `Stopping ${own.name}: it saves first` : `Training ${own.name}`;
    this.line.textContent = own.line;
    this.stop.disabled = own.state === "stopping" && !own.stubborn;
    this.stop.lastChild.data = own.stubborn ? "Stop at once" : "Stop";
  }

  #suggest() {
    let number = 1;
    while (this.#names.includes(`try-${number}`)) number++;
    this.name.input.value = `try-${number}`;
  }

  #check(text) {
    if (!NAME.test(text)) throw new Error("Letters, digits and . _ -, a letter or digit first, at most 64 of them");
    if (this.#names.includes(text)) throw new Error("There is such a run already");
  }

  async #start() {
    this.#refuse("");
    const folder = this.source.root.querySelector("input:checked").value === "folder";
    const data = folder ? this.path.input.value : "phantoms";
    this.go.disabled = true;
    try {
      this.#check(this.name.input.value);
      await this.act.start({ ...this.wish, data, name: this.name.input.value });
    } catch (wrong) {
      this.go.disabled = false;
      this.#refuse(wrong.message);
    }
  }

  async #stop() {
    this.stop.disabled = true;
    try {
      await this.act.stop();
    } catch (wrong) {
      this.stop.disabled = false;
      this.#refuse(wrong.message);
    }
  }

  #refuse(sentence) {
    if (this.wrong.textContent !== sentence) this.wrong.textContent = sentence;
    this.wrong.hidden = !sentence;
  }
}
