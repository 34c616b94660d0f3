// A small training started from here: on head phantoms or a folder, one at a time, with its terminal's line and a Stop.

import { adorn, nameGroup, radioField, textField } from "./fields.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const IMAGES = { 400: "Under a minute: does everything work?", 4000: "Some minutes", 20000: "An hour or so on two cores of a CPU" };
const SIZES = { 32: "32 pixels a side", 64: "64 pixels a side: about three times as long" };
const PICTURES = { phantoms: "Random heads, drawn on the fly", folder: "A folder or zip of pictures on this machine" };
const FARAWAY = "Only where the explorer listens on 127.0.0.1 and nobody else reaches it";

export const PARTS = ["#training-new", "#training-pictures input", "#training-size input", "#training-images input", "#training-name input", "#training-folder input", "#training-wrong", "#training-start", "#training-own", "#training-own-words", "#training-stop", "#training-line"];

const find = (id) => document.getElementById(id);

export class Starter {
  #names = [];

  /** start(wish) asks the server and throws its sentence; stop() asks the training to save and end. */
  constructor({ start, stop }) {
    this.act = { start, stop };
    this.wish = { data: "phantoms", size: 32, images: 400 };
    this.folder = find("training-folder");
    this.path = textField("training-folder", { name: "Folder or zip", hint: "A path on this machine.", read: () => {} });
    radioField("training-pictures", { name: "Pictures", titles: PICTURES, start: "phantoms", change: (value) => this.#source(value) });
    radioField("training-size", { name: "Size", titles: SIZES, start: "32", change: (value) => (this.wish.size = Number(value)) });
    radioField("training-images", { name: "Images", titles: IMAGES, start: "400", change: (value) => (this.wish.images = Number(value)) });
    this.name = textField("training-name", { name: "Name", hint: "Of the run: letters, digits and . _ -", read: (text) => this.#check(text) });
    this.wrong = find("training-wrong");
    this.go = adorn("training-start", "play");
    this.go.addEventListener("click", () => this.#start());
    nameGroup("training-new", "Start a training", "region");
    // What its terminal shows, and Stop.
    this.working = nameGroup("training-own", "The training started here", "region");
    this.words = find("training-own-words");
    this.line = find("training-line");
    this.stop = find("training-stop");
    this.stop.title = "It saves and ends; in a terminal --resume goes on with it";
    this.stop.addEventListener("click", () => this.#stop());
    this.#source("phantoms");
    this.#refuse("");
    this.follow(null);
  }

  #source(value) {
    this.fromFolder = value === "folder";
    this.folder.hidden = !this.fromFolder;
  }

  /** The name where none is typed. */
  #suggest() {
    let number = 1;
    while (this.#names.includes(`try-${number}`)) number++;
    this.name.input.placeholder = `try-${number}`;
  }

  /** What the server allows, and which names are taken. */
  offer({ folder, names }) {
    const other = document.querySelector("#training-pictures input[value=folder]");
    other.disabled = !folder;
    other.closest("label").title = folder ? PICTURES.folder : FARAWAY;
    this.#names = names;
    this.#suggest();
  }

  /** Follow the training that was started last; null where there is none. */
  follow(own) {
    const alive = own && ["running", "stopping"].includes(own.state);
    if (this.busy && !alive) {
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
    const words = own.stubborn ? "Stop at once" : "Stop";
    if (this.stop.textContent.trim() !== words) this.stop.textContent = words;
  }

  #check(text) {
    if (text && !NAME.test(text)) throw new Error("Letters, digits and . _ -, a letter or digit first, at most 64 of them");
    if (this.#names.includes(text)) throw new Error("There is such a run already");
  }

  async #start() {
    this.#refuse("");
    const data = this.fromFolder ? this.path.input.value : "phantoms";
    this.go.disabled = true;
    try {
      this.#check(this.name.input.value);
      await this.act.start({ ...this.wish, data, name: this.name.input.value || this.name.input.placeholder });
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
