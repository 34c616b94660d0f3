// What the timeline of this page says: keys at times, how the film goes through them, undo, and its place in this browser's storage.

import { full, short } from "./recipe.js";
import { frameCount, frameOf, MOST_FRAMES, secondsOf } from "./paths.js";
import { MOST_KEYS, read } from "./timeline_file.js";

const KEY = "styloscope.timeline";
let made = 0; // keys that this page has met, for their names
const STEPS_BACK = 100;
export const EMPTY = { fps: 24, loop: false, spline: "catmull-rom", space: "w", duration: null, keys: [] };

/** A timeline as JSON values, for files and for the server. */
export function told({ fps, loop, spline, space, duration, keys }) {
  const listed = keys.map(({ recipe, time, ease }) => ({ recipe: short(full(recipe)), time, ease }));
  return { format: 1, fps, loop, spline, ...(space === "w" ? {} : { space }), ...(duration == null ? {} : { duration }), keys: listed };
}

export class TimelineModel {
  line = EMPTY;
  chosen = null; // the key that the buttons speak of
  #heard = [];
  #back = [];
  #on = [];
  #before = null; // the line before a hand took hold of it

  /** say(sentence) tells what cannot be. */
  constructor({ say }) {
    this.say = say;
    this.#load();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#load();
      this.#tell();
    });
    document.addEventListener("point-renamed", ({ detail }) => this.#follow(detail));
  }

  heard(fn) {
    this.#heard.push(fn);
    fn(this);
  }

  /** Whether there is a film: two keys or more. */
  get whole() {
    return this.line.keys.length > 1;
  }

  get count() {
    return this.whole ? frameCount(this.line) : 0;
  }

  get seconds() {
    const { keys } = this.line;
    return this.whole ? secondsOf(this.line) : (keys[0]?.time ?? 0);
  }

  /** Where a chosen key stands among the keys, -1 without one. */
  get place() {
    return this.line.keys.indexOf(this.chosen);
  }

  frame(index) {
    return frameOf(this.line, index);
  }

  /** The frame that a key stands on. */
  frameAt(key) {
    return Math.round(key.time * this.line.fps);
  }

  choose(key) {
    this.chosen = key;
    this.#tell();
  }

  /** Change settings; `moving` while the hand is down, so that undo goes back to before it. False where it cannot be. */
  change(settings, { moving = false } = {}) {
    return this.#become({ ...this.line, ...settings }, { moving });
  }

  /** Take a whole timeline in the place of this one. */
  open(line) {
    return this.#become({ ...EMPTY, ...line, keys: named(line.keys) }, { chosen: null });
  }

  /** Add keys {recipe, time, ease}; a time of none is a second after the last key. The last one is chosen. */
  add(given) {
    let { keys } = this.line;
    let { chosen } = this;
    if (keys.length + given.length > MOST_KEYS) return this.#refuse(`A timeline has at most ${MOST_KEYS} keys.`);
    for (const { recipe, time, ease = "linear" } of given) {
      const first = keys[0]?.recipe;
      const whole = beside(first, recipe);
      if (first && first.checkpoint !== whole.checkpoint) return this.#refuse(otherNetwork(first, whole));
      if (first && JSON.stringify(first.grown) !== JSON.stringify(whole.grown)) return this.#refuse("That picture is grown to another size; a timeline stays at one.");
      if (whole.toward?.space === "z") return this.#refuse("A picture between two seeds in z cannot be a key; keep one of its ends.");
      chosen = { id: ++made, recipe: whole, time: this.#free(time ?? (keys.length ? keys.at(-1).time + 1 : 0), keys), ease };
      keys = sorted([...keys, chosen]);
    }
    return this.#become({ ...this.line, keys }, { chosen });
  }

  /** Change a key; its time goes to the nearest frame that is free. */
  edit(key, patch, { moving = false } = {}) {
    const others = this.line.keys.filter((one) => one !== key);
    const time = patch.time === undefined ? key.time : this.#free(patch.time, others);
    const next = { ...key, ...patch, time };
    if (patch.recipe) {
      const [first] = others;
      next.recipe = beside(first?.recipe, patch.recipe);
      if (first?.recipe.checkpoint && first.recipe.checkpoint !== next.recipe.checkpoint) return this.#refuse(otherNetwork(first.recipe, next.recipe)) || key;
    }
    const chosen = this.chosen === key ? next : this.chosen;
    return this.#become({ ...this.line, keys: sorted([...others, next]) }, { moving, chosen }) ? next : key;
  }

  remove(key) {
    const at = this.line.keys.indexOf(key);
    const keys = this.line.keys.filter((one) => one !== key);
    const chosen = keys[Math.min(at, keys.length - 1)] ?? null;
    this.#become({ ...this.line, keys, duration: keys.length > 1 ? this.line.duration : null }, { chosen });
  }

  /** The same picture once more, half way to the next key or a second after the last. */
  duplicate(key) {
    const next = this.line.keys[this.line.keys.indexOf(key) + 1];
    this.add([{ recipe: key.recipe, ease: key.ease, time: next ? (key.time + next.time) / 2 : key.time + 1 }]);
  }

  /** Keys at even distances over the same time. */
  even() {
    const { keys, fps } = this.line;
    const [first, last] = [keys[0].time, keys.at(-1).time];
    const step = Math.max(1, Math.round(((last - first) * fps) / (keys.length - 1)));
    const start = Math.round(first * fps);
    this.#become({ ...this.line, keys: keys.map((key, index) => ({ ...key, time: (start + index * step) / fps })) });
  }

  /** All times drawn out or in, so that the film lasts this long. */
  stretch(seconds) {
    const { keys, duration, fps } = this.line;
    const by = Math.max(seconds, (keys.length - 1) / fps) / this.seconds;
    return this.#become({ ...this.line, duration: duration == null ? null : duration * by, keys: keys.map((key) => ({ ...key, time: key.time * by })) });
  }

  /** The hand lets go: what it did is one step of undo. */
  settle() {
    if (this.#before) this.#note(this.#before);
    this.#before = null;
    this.#store();
    this.#tell();
  }

  get can() {
    return { undo: this.#back.length > 0, redo: this.#on.length > 0 };
  }

  undo() {
    this.#go(this.#back, this.#on);
  }

  redo() {
    this.#go(this.#on, this.#back);
  }

  #go(from, to) {
    const line = from.pop();
    if (!line) return;
    const place = this.place;
    to.push(this.line);
    this.line = line;
    this.chosen = line.keys[Math.min(place, line.keys.length - 1)] ?? null;
    this.#store();
    this.#tell();
  }

  /** Put every key's recipe through `follow`, which gives back itself or what it is now; what undo leads to as well. */
  #follow(follow) {
    const through = (line) => {
      const keys = line.keys.map((key) => {
        const recipe = follow(key.recipe);
        return recipe === key.recipe ? key : { ...key, recipe };
      });
      return keys.some((key, index) => key !== line.keys[index]) ? { ...line, keys } : line;
    };
    const [line, place] = [through(this.line), this.place];
    [this.#back, this.#on] = [this.#back.map(through), this.#on.map(through)];
    this.#before &&= through(this.#before);
    if (line === this.line) return;
    this.line = line;
    this.chosen = line.keys[place] ?? null;
    this.#store();
    this.#tell();
  }

  #note(line) {
    this.#back = [...this.#back, line].slice(-STEPS_BACK);
    this.#on = [];
  }

  /** Take a line, and with it what is chosen; where it cannot be, say why and leave both. */
  #become(line, { moving = false, chosen = this.chosen } = {}) {
    const last = line.keys.at(-1)?.time ?? 0;
    const least = line.loop ? last + 1 / line.fps : last;
    const fitting = line.duration != null && line.duration < least - 1e-9 ? { ...line, duration: line.loop ? least : null } : line;
    if (fitting.keys.length > 1) {
      if (frameCount(fitting) > MOST_FRAMES) return this.#refuse(`A film has at most ${MOST_FRAMES} frames; take less time or fewer frames a second.`);
      try {
        if (moving) return this.#put(fitting, { moving, chosen });
        // A stretch whose pictures are blends of many cannot be: better said now than in its middle.
        fitting.keys.forEach(({ time }) => frameOf(fitting, Math.min(frameCount(fitting) - 1, Math.floor(time * fitting.fps) + 1)));
      } catch (wrong) {
        return this.#refuse(wrong.message);
      }
    }
    return this.#put(fitting, { moving, chosen });
  }

  #put(line, { moving, chosen }) {
    if (moving) this.#before ??= this.line;
    else this.#note(this.#before ?? this.line);
    if (!moving) this.#before = null;
    this.line = line;
    this.chosen = chosen;
    if (!moving) this.#store();
    this.#tell();
    return true;
  }

  #refuse(sentence) {
    this.#tell(); // the fields go back to what holds
    this.say(sentence);
    return false;
  }

  /** The frame nearest to a time on which no other key stands, as a time. */
  #free(time, keys) {
    const { fps } = this.line;
    const taken = new Set(keys.map((key) => Math.round(key.time * fps)));
    const wanted = Math.max(0, Math.round(time * fps));
    for (let step = 0; ; step++) {
      if (!taken.has(wanted + step)) return (wanted + step) / fps;
      if (wanted >= step && !taken.has(wanted - step)) return (wanted - step) / fps;
    }
  }

  #store() {
    try {
      localStorage.setItem(KEY, JSON.stringify(told(this.line)));
    } catch (wrong) {
      this.say(`This browser does not let the timeline be kept (${wrong.name}); it lasts until the page is closed.`);
    }
  }

  #load() {
    try {
      const text = localStorage.getItem(KEY);
      const { line } = text === null ? { line: EMPTY } : read(JSON.parse(text));
      this.line = { ...line, keys: named(line.keys) };
    } catch (wrong) {
      // Storage that is switched off or damaged is an empty timeline.
      console.debug(wrong.message);
      this.line = EMPTY;
    }
    this.chosen = null;
  }

  #tell() {
    for (const fn of this.#heard) fn(this);
  }
}

/** A whole recipe beside the `first` of a timeline, with its word for the network: the server knows one by its file, whatever it is called. */
function beside(first, recipe) {
  const sha = (name) => window.stage?.find(name)?.sha;
  const one = first && sha(first.checkpoint);
  return full(one && one === sha(recipe.checkpoint) ? { ...recipe, checkpoint: first.checkpoint } : recipe);
}

function otherNetwork(first, other) {
  return `That picture is of the network ${other.checkpoint}; a timeline stays in one network, here ${first.checkpoint}.`;
}

function named(keys) {
  return keys.map((key) => ({ ...key, recipe: full(key.recipe), id: ++made }));
}

function sorted(keys) {
  return [...keys].sort((one, other) => one.time - other.time);
}
