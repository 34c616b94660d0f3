// Playing: the last walk if there is one, else a stroll along the seeds. Frames are asked for as the clock says, so a slow
// network plays the same walk with fewer pictures.

import { placeOf, walked } from "./plane.js";

const STROLL = 0.5; // seeds a second

export class Player {
  #running = 0;

  constructor(stage, { changed }) {
    this.stage = stage;
    this.changed = changed;
  }

  get playing() {
    return this.#running !== 0;
  }

  toggle() {
    if (this.playing) this.stop();
    else this.start();
  }

  start() {
    const begun = performance.now();
    const at = this.stage.walk ? walkAt(this.stage.walk) : strollFrom(placeOf(this.stage.recipe));
    const step = (now) => {
      const { recipe, done } = at(Math.max(0, now - begun) / 1000);
      this.#running = requestAnimationFrame(step);
      this.stage.set(recipe, { moving: true, playing: true });
      if (done) this.stop();
    };
    this.#running = requestAnimationFrame(step);
    this.changed(true);
  }

  stop() {
    if (!this.playing) return;
    cancelAnimationFrame(this.#running);
    this.#running = 0;
    this.changed(false);
    this.stage.set({}, { moving: false });
  }
}

function strollFrom(place) {
  return (seconds) => ({ recipe: walked(place, seconds * STROLL, 0), done: false });
}

/** The walk's recipe at a time, as frames of `fps`: frame k of a stretch has t = ease(k / steps). */
function walkAt(walk) {
  const { recipes, steps, loop, fps } = walk;
  const count = loop ? recipes.length * steps : (recipes.length - 1) * steps + 1;
  return (seconds) => {
    const frame = Math.floor(seconds * fps);
    const done = !loop && frame >= count - 1;
    return { recipe: frameOf(walk, loop ? frame % count : Math.min(frame, count - 1)), done };
  };
}

export function frameOf({ recipes, steps, ease, space }, frame) {
  const [stretch, k] = [Math.floor(frame / steps), frame % steps];
  const from = recipes[stretch % recipes.length];
  if (k === 0) return { ...from, toward: null };
  const { checkpoint, toward, blend, ...next } = recipes[(stretch + 1) % recipes.length];
  const t = k / steps;
  return { ...from, toward: { ...next, t: ease === "smooth" ? t * t * (3 - 2 * t) : t, space } };
}
