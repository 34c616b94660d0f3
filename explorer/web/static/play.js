// Playing: the last walk if there is one, else a stroll along the seeds, or what it is given. Frames are asked for as the clock says, so a slow
// network plays the same walk with fewer pictures.

import { frameCount, frameOf } from "./paths.js";
import { placeOf, walked } from "./plane.js";

const STROLL = 0.5; // seeds a second

export class Player {
  #running = 0;
  what = null; // is playing

  constructor(stage, { changed }) {
    this.stage = stage;
    this.changed = changed;
  }

  get playing() {
    return this.#running !== 0;
  }

  toggle() {
    if (this.playing) this.stop();
    else if (this.stage.walk?.keys) this.stage.timeline.play();
    else this.start();
  }

  /** Play `at`, a time in seconds -> {recipe: a change of the stage's, done}; `what` names it. */
  start(at = this.stage.walk ? walkAt(this.stage.walk) : strollFrom(placeOf(this.stage.recipe)), what = "walk") {
    // One thing plays at a time.
    cancelAnimationFrame(this.#running);
    const begun = performance.now();
    this.what = what;
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
    if (this.halt()) this.stage.set({}, { moving: false });
  }

  /** Stop without settling on the frame that is shown; whether anything played. */
  halt() {
    if (!this.playing) return false;
    cancelAnimationFrame(this.#running);
    this.#running = 0;
    this.what = null;
    this.changed(false);
    return true;
  }
}

function strollFrom(place) {
  return (seconds) => ({ recipe: walked(place, seconds * STROLL, 0), done: false });
}

/** The recipe of a walk or timeline at a time after its frame `first`, `fps` frames a second. */
export function walkAt(walk, first = 0) {
  const count = frameCount(walk);
  return (seconds) => {
    const gone = first + Math.floor(seconds * walk.fps);
    const done = !walk.loop && gone >= count - 1;
    const frame = walk.loop ? gone % count : Math.min(gone, count - 1);
    return { recipe: frameOf(walk, frame), frame, done };
  };
}
