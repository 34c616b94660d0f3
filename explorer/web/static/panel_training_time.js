// The time machine: the sheets of the same seeds, one after the other. The newest is followed until the hand takes it.

import { adorn, nameGroup, NumberField } from "./fields.js";
import { h, icon } from "./panel_kit.js";

const PACE = 180; // ms a sheet while it plays
const MOST_KEPT = 240; // sheets in this page's memory
const STEP = 14; // pixels of a drag from one sheet to the next

export const PARTS = ["#training-time", "#training-sheet", "#training-play", "#moment input[type=range]", "#moment-words", "#training-newest"];

export class TimeMachine {
  following = true;
  #run = null;
  #moments = []; // {name, key, kimg, exact}, oldest first
  #at = -1;
  #kept = new Map(); // key -> address of the sheet, in the order of their last use
  #wanted = 0;
  #timer = 0;

  /** shown(moment) is told whenever another moment is chosen. */
  constructor({ shown }) {
    this.shown = shown;
    this.image = h("img", { alt: "", draggable: "false", hidden: true });
    this.waiting = h("p", { class: "hint" }, "The first sheet comes with the first tick.");
    this.view = document.getElementById("training-sheet");
    this.view.append(this.image, this.waiting);
    this.root = nameGroup("training-time", "Time machine", "region");
    this.words = document.getElementById("moment-words");
    this.playButton = document.getElementById("training-play");
    this.playButton.addEventListener("click", () => (this.#timer ? this.#pause() : this.#play()));
    this.newest = document.getElementById("training-newest");
    this.newest.title = "Follow the newest sheet";
    this.newest.addEventListener("click", () => this.#follow());
    const to = (number) => Number.isInteger(number) && number >= 1 && number <= this.#moments.length && this.#hand(number - 1);
    this.field = new NumberField("moment", { name: "Moment", change: to, reset: () => this.#follow() });
    this.field.back.title = "Back to the newest";
    this.#turn("play", "Play the sheets");
    this.#listenToDrag();
    new ResizeObserver(() => this.#fit()).observe(this.view);
    this.image.addEventListener("load", () => this.#fit());
  }

  get moment() {
    return this.#moments[this.#at] ?? null;
  }

  /** Begin with another run. */
  open(name) {
    this.#pause();
    this.#run = name;
    this.#moments = [];
    this.#at = -1;
    this.following = true;
    for (const address of this.#kept.values()) URL.revokeObjectURL(address);
    this.#kept.clear();
    this.image.hidden = true;
    this.waiting.hidden = false;
    this.#tell();
  }

  seen(now) {
    if (!now) this.#pause();
  }

  /** Take the list of sheets, whole each time: a run that goes on from an earlier state has cut it back. */
  show(sheets, { kimg }) {
    const known = new Map(this.#moments.map((moment) => [moment.key, moment]));
    const newest = sheets.at(-1)?.[0];
    const chosen = this.moment;
    this.#moments = sheets.map(([name, stamp, images]) => {
      const key = `${name} ${stamp}`;
      if (known.has(key)) return known.get(key);
      if (name.startsWith("frame-")) return { name, key, kimg: images / 1000, exact: true };
      // A name in whole kimg; of the newest the log says where it was drawn.
      const exact = name === newest && Math.floor(kimg ?? -1) === Number(name);
      return { name, key, kimg: exact ? kimg : images / 1000, exact };
    });
    const again = this.#moments.findIndex(({ key }) => key === chosen?.key);
    const gone = again < 0 && chosen ? this.#nearest(chosen.kimg) : again;
    this.#go(this.following || !chosen ? this.#moments.length - 1 : gone);
  }

  /** Show the moment nearest to a place on the curves. */
  goTo(kimg) {
    if (this.#moments.length) this.#hand(this.#nearest(kimg));
  }

  #nearest(kimg) {
    const away = this.#moments.map((moment) => Math.abs(moment.kimg - kimg));
    return away.indexOf(Math.min(...away));
  }

  #follow() {
    this.#pause();
    this.following = true;
    this.#go(this.#moments.length - 1);
  }

  /** The hand has it now; at the end it follows again. */
  #hand(at) {
    this.#pause();
    this.following = at >= this.#moments.length - 1;
    this.#go(at);
  }

  #go(at) {
    this.#at = Math.min(Math.max(at, 0), this.#moments.length - 1);
    this.#tell();
    this.shown(this.moment);
    return this.#draw();
  }

  #tell() {
    const { moment, field } = this;
    const { range, number, back } = field;
    field.reach(1, Math.max(2, this.#moments.length));
    field.write(Math.max(1, this.#at + 1));
    range.disabled = number.disabled = this.playButton.disabled = this.#moments.length < 2;
    back.disabled = this.following;
    this.newest.setAttribute("aria-pressed", String(this.following));
    this.words.textContent = moment ? `${seenText(moment)}, sheet ${this.#at + 1} of ${this.#moments.length}` : "";
    range.setAttribute("aria-valuetext", this.words.textContent);
    if (moment) this.image.alt = `Samples of ${this.#run} after ${seenText(moment, "thousand images")}`;
  }

  /** Show the moment's sheet once it is here; one that comes late is not shown over a newer one. */
  async #draw() {
    const { moment } = this;
    if (!moment) return;
    const turn = ++this.#wanted;
    const address = await this.#sheet(moment);
    if (!address || turn !== this.#wanted) return;
    if (this.image.src !== address) this.image.src = address;
    this.image.hidden = false;
    this.waiting.hidden = true;
  }

  async #sheet({ key, name }) {
    const run = this.#run;
    const here = this.#kept.get(key);
    if (here) {
      this.#kept.delete(key);
      this.#kept.set(key, here);
      return here;
    }
    try {
      const answer = await fetch(`training/sheet?${new URLSearchParams({ run, moment: name })}`);
      if (!answer.ok || this.#run !== run) return null;
      const address = URL.createObjectURL(await answer.blob());
      this.#kept.set(key, address);
      const [oldest, last] = this.#kept.entries().next().value;
      if (this.#kept.size > MOST_KEPT && last !== this.image.src) {
        this.#kept.delete(oldest);
        URL.revokeObjectURL(last);
      }
      return address;
    } catch (wrong) {
      // The next look says it, if the server is gone.
      console.debug(wrong.message);
      return null;
    }
  }

  #play() {
    let at = this.#at >= this.#moments.length - 1 ? 0 : this.#at;
    this.following = false;
    this.#turn("pause", "Pause the sheets");
    const step = async () => {
      const began = performance.now();
      const timer = this.#timer;
      await this.#go(at);
      if (this.#timer !== timer) return;
      if (++at >= this.#moments.length) return this.#follow();
      this.#timer = setTimeout(step, Math.max(0, PACE - (performance.now() - began)));
    };
    this.#timer = setTimeout(step);
  }

  #pause() {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#turn("play", "Play the sheets");
  }

  #turn(name, label) {
    this.playButton.replaceChildren(icon(name));
    this.playButton.setAttribute("aria-label", label);
  }

  /** Sideways drag alone, so that the page still scrolls on touch. */
  #listenToDrag() {
    let held = null;
    this.image.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.#moments.length < 2) return;
      held = { x: event.clientX, at: this.#at, step: Math.min(STEP, this.view.clientWidth / this.#moments.length) };
      this.image.setPointerCapture(event.pointerId);
    });
    this.image.addEventListener("pointermove", (event) => {
      if (!held) return;
      const at = Math.round(held.at + (event.clientX - held.x) / held.step);
      const near = Math.min(Math.max(at, 0), this.#moments.length - 1);
      if (near !== this.#at) this.#hand(near);
    });
    for (const name of ["pointerup", "pointercancel"]) this.image.addEventListener(name, () => (held = null));
  }

  /** At a whole multiple where one fits, as on the stage. */
  #fit() {
    const { naturalWidth: wide, naturalHeight: tall } = this.image;
    if (!wide || !this.view.clientWidth) return;
    const room = Math.min(this.view.clientWidth / wide, Math.max(tall, 440) / tall);
    this.image.style.width = `${wide * (room >= 1 ? Math.floor(room) : room)}px`;
  }
}

/** How many images a moment's pictures have behind them, below a thousand one by one. */
function seenText({ kimg, exact }, unit = "kimg") {
  return exact && kimg < 1 ? `${Math.round(1000 * kimg)} images` : `${kimgText(kimg)} ${unit}`;
}

export function kimgText(kimg) {
  return kimg >= 100 ? Math.round(kimg).toLocaleString("en") : String(Number(kimg.toFixed(kimg >= 10 ? 1 : 3)));
}
