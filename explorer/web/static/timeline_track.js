// The line itself: seconds above, keys as thumbnails at their times, the playhead, the end. All by hand, by key and by number.

import { h, Thumbs } from "./panel_kit.js";
import { place as placeWords } from "./recipe.js";

const ROOM = 1.12; // of the film's time that the line shows, so that a key can be drawn beyond the last
const STEPS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600];
const APART = 56; // pixels from number to number, at least
const EDGE = 34; // pixels left and right of the line, half a thumbnail
const SLACK = 4; // pixels that a click may slip

/** Draw the line into `place`; `kept` is the type of what is dragged from the shelf. */
export function mountTrack(place, { stage, model, head, kept }) {
  const track = new Track({ stage, model, head });
  place.append(track.root);
  model.heard(() => track.draw());
  head.heard(() => track.drawHead());
  new ResizeObserver(() => track.draw()).observe(track.root);
  track.takes(kept);
}

class Track {
  #cards = new Map(); // by the key's id
  #span = null; // seconds that the line shows while a hand holds something

  constructor({ stage, model, head }) {
    Object.assign(this, { stage, model, head });
    this.thumbs = new Thumbs(stage, { size: 128 });
    this.ruler = h("div", { class: "ruler", "aria-hidden": "true" });
    this.film = h("div", { class: "film" });
    this.rest = h("div", { class: "rest", title: "Back to the first key" });
    this.keys = h("div", { class: "keys", role: "group", "aria-label": "Keys" });
    this.needle = h("div", { class: "needle" });
    this.ghost = h("div", { class: "ghost", hidden: true });
    this.end = h("button", { type: "button", class: "end", role: "slider", "aria-label": "End of the film", "aria-valuemin": "0" });
    this.empty = h("p", { class: "empty" }, "Drag kept pictures here from the shelf, or press Add the stage: each is a key, and the film goes through all of them.");
    this.inner = h("div", { class: "inner" }, this.ruler, this.film, this.rest, this.keys, this.needle, this.ghost, this.end, h("p", { class: "more hint" }, "One more picture makes a film."));
    this.root = h("div", { class: "track" }, this.empty, this.inner);
    this.#scrubs();
    this.#ends();
  }

  get span() {
    return this.#span ?? Math.max(1, this.model.seconds * ROOM, (this.model.line.keys.at(-1)?.time ?? 0) * ROOM);
  }

  /** Where a time stands, in pixels of the line. */
  #at(seconds) {
    return EDGE + (seconds / this.span) * this.#width;
  }

  get #width() {
    return Math.max(1, this.inner.clientWidth - 2 * EDGE);
  }

  /** The time under a pointer. */
  #under({ clientX }) {
    return Math.max(0, ((clientX - this.inner.getBoundingClientRect().left - EDGE) / this.#width) * this.span);
  }

  draw() {
    const { model } = this;
    const { keys, loop } = model.line;
    this.empty.hidden = keys.length > 0;
    this.inner.hidden = !keys.length;
    this.root.classList.toggle("full", keys.length > 0);
    this.#drawCards(keys);
    if (!keys.length) return;
    const last = keys.at(-1).time;
    const [from, to] = [this.#at(0), this.#at(model.seconds)];
    Object.assign(this.film.style, { left: `${from}px`, width: `${Math.max(0, to - from)}px` });
    Object.assign(this.rest.style, { left: `${this.#at(last)}px`, width: `${Math.max(0, to - this.#at(last))}px` });
    this.rest.hidden = !loop && model.seconds <= last;
    this.rest.title = loop ? "Back to the first key" : "The last picture stays";
    this.end.style.left = `${to}px`;
    this.end.hidden = !model.whole;
    const words = `${model.seconds.toFixed(2)} s`;
    this.end.title = `The film ends here, at ${words}: drag, or left and right`;
    this.end.setAttribute("aria-valuenow", model.seconds.toFixed(3));
    this.end.setAttribute("aria-valuemax", (model.seconds * 2).toFixed(3));
    this.end.setAttribute("aria-valuetext", words);
    this.#drawRuler();
    this.drawHead();
  }

  drawHead() {
    this.needle.hidden = !this.model.whole;
    this.needle.style.left = `${this.#at(this.head.seconds)}px`;
  }

  #drawRuler() {
    const step = STEPS.find((one) => (one / this.span) * this.#width >= APART) ?? STEPS.at(-1);
    const count = Math.min(200, Math.floor(this.span / step) + 1);
    this.ruler.replaceChildren(
      ...Array.from({ length: count }, (_, k) => h("span", { style: `left:${this.#at(k * step)}px` }, `${Number((k * step).toFixed(2))}${k ? "" : " s"}`)),
    );
  }

  #drawCards(keys) {
    for (const [id, card] of this.#cards) {
      if (keys.some((key) => key.id === id)) continue;
      this.thumbs.drop(card);
      this.#cards.delete(id);
    }
    keys.forEach((key, index) => {
      if (!this.#cards.has(key.id)) this.#cards.set(key.id, this.#makeCard(key.id));
      const card = this.#cards.get(key.id);
      const words = `Key ${index + 1} of ${keys.length}: ${placeWords(key.recipe)}, at ${key.time.toFixed(2)} s`;
      card.setAttribute("aria-label", words);
      card.title = `${words}. Drag, or left and right, to move it in time`;
      card.setAttribute("aria-pressed", String(key === this.model.chosen));
      card.style.left = `${this.#at(key.time)}px`;
      this.thumbs.set(card, key.recipe);
      if (this.keys.children[index] !== card) this.#put(card, index);
    });
  }

  /** Put a card in its place without taking the focus from the one that has it. */
  #put(card, index) {
    const focused = card === document.activeElement;
    this.keys.insertBefore(card, this.keys.children[index] ?? null);
    if (focused) card.focus();
  }

  #makeCard(id) {
    const card = this.thumbs.make({ label: "Key" });
    const key = () => this.model.line.keys.find((one) => one.id === id);
    this.#held(card, {
      begin: () => (key() === this.model.chosen || this.model.choose(key()), key().time),
      move: (time) => this.model.edit(key(), { time }, { moving: true }),
      press: () => this.#show(key()),
    });
    card.addEventListener("keydown", (event) => this.#keyed(event, key()));
    return card;
  }

  #show(key) {
    this.model.choose(key);
    this.head.show(this.model.frameAt(key), false);
  }

  #keyed(event, key) {
    const { model } = this;
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (steps) {
      event.preventDefault();
      model.choose(key);
      const step = (event.shiftKey ? 1 : 1 / model.line.fps) * steps;
      // Past a key that stands on the next frame, not against it.
      for (let k = 1; k < 9 && model.edit(model.chosen, { time: key.time + k * step }).time === key.time; k++);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      model.choose(key);
      model.remove(key);
      (this.#cards.get(model.chosen?.id) ?? document.querySelector("#timeline-rest button"))?.focus();
    }
  }

  /** A thing on the line that a hand can move: begin() gives its time, move(time) takes the new one, press() a click. */
  #held(element, { begin, move, press }) {
    let hand = null;
    let slipped = false;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      hand = { x: event.clientX, time: begin() };
      slipped = false;
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (!hand || (!slipped && Math.abs(event.clientX - hand.x) < SLACK)) return;
      slipped = true;
      this.#span ??= this.span;
      move(Math.max(0, hand.time + ((event.clientX - hand.x) / this.#width) * this.span));
    });
    const end = () => {
      if (!hand) return;
      hand = null;
      this.#span = null;
      if (slipped) this.model.settle();
    };
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) element.addEventListener(name, end);
    element.addEventListener("click", () => {
      if (!slipped) press?.();
      slipped = false;
    });
  }

  #ends() {
    const { model, end } = this;
    const to = (seconds, moving) => model.change({ duration: Math.round(seconds * model.line.fps) / model.line.fps }, { moving });
    this.#held(end, { begin: () => model.seconds, move: (time) => to(time, true) });
    end.addEventListener("dblclick", () => model.change({ duration: null }));
    end.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!steps) return;
      event.preventDefault();
      to(model.seconds + (event.shiftKey ? 1 : 1 / model.line.fps) * steps, false);
    });
  }

  /** A hand on the line, but on nothing that stands there, moves the playhead. */
  #scrubs() {
    let down = false;
    const go = (event, moving) => this.head.show(Math.min(this.model.count - 1, Math.round(this.#under(event) * this.model.line.fps)), moving);
    this.inner.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.model.whole || event.target.closest("button")) return;
      down = true;
      this.inner.setPointerCapture(event.pointerId);
      go(event, true);
    });
    this.inner.addEventListener("pointermove", (event) => down && go(event, true));
    for (const name of ["pointerup", "pointercancel"]) {
      this.inner.addEventListener(name, (event) => {
        if (down && name === "pointerup") go(event, false);
        down = false;
      });
    }
  }

  /** Kept pictures that are dropped on the line become keys where they fall. */
  takes(kept) {
    const ours = (event) => event.dataTransfer.types.includes(kept);
    this.root.addEventListener("dragover", (event) => {
      if (!ours(event)) return;
      event.preventDefault();
      this.root.classList.add("over");
      this.ghost.hidden = false;
      this.ghost.style.left = `${this.#at(this.#under(event))}px`;
    });
    const leave = () => {
      this.root.classList.remove("over");
      this.ghost.hidden = true;
    };
    this.root.addEventListener("dragleave", (event) => this.root.contains(event.relatedTarget) || leave());
    this.root.addEventListener("drop", (event) => {
      leave();
      if (!ours(event)) return;
      event.preventDefault();
      const one = this.stage.shelf.find(({ id }) => id === event.dataTransfer.getData(kept));
      const time = this.model.line.keys.length ? this.#under(event) : 0;
      if (one) this.model.add([{ recipe: one.recipe, time }]);
    });
  }
}
