// Small pictures of the map's seeds: sheets that the server has drawn at low priority, loaded as they are needed.

import { JobBox } from "./panel_jobs.js";
import { button, h } from "./panel_kit.js";

const LOOK = 1500; // ms between two looks for new sheets while they are drawn
const MOST_LOADED = 120; // sheets, about 1.3 MB each once decoded
const AT_ONCE = 3;

export class Sheets {
  #there = new Set();
  #loaded = new Map(); // number of a sheet -> ImageBitmap
  #loading = new Set();
  #wanted = new Set(); // numbers of the sheets that the last drawing needed
  #about = null;
  #query = "";

  /** changed() when a picture more can be drawn. */
  constructor({ changed }) {
    this.changed = changed;
  }

  /** Be of another map: `query` says which network and class. */
  async of(query) {
    if (query === this.#query) return;
    this.#query = query;
    this.#there.clear();
    this.#forget([...this.#loaded.keys()]);
    this.#about = null;
    await this.look();
  }

  /** Ask which sheets there are now. */
  async look() {
    const query = this.#query;
    const answer = await fetch(`map/sheets?${query}`);
    if (!answer.ok || query !== this.#query) return;
    this.#about = await answer.json();
    this.#there = new Set(this.#about.there);
    this.changed();
  }

  /** Whether the pictures of seeds 0 to count - 1 have all been drawn. */
  has(count) {
    if (!this.#about) return false;
    return Array.from({ length: Math.ceil(count / this.#about.seeds) }, (_, k) => k).every((k) => this.#there.has(k));
  }

  get known() {
    return this.#about !== null;
  }

  /** [width, height] of a picture. */
  get cell() {
    return this.#about ? [this.#about.cell[1], this.#about.cell[0]] : [1, 1];
  }

  /** A new drawing begins. */
  begin() {
    this.#wanted.clear();
  }

  /** {bitmap, x, y, width, height} of a seed's picture, or null, in which case it is asked for where it has been drawn. */
  picture(seed) {
    if (!this.#about) return null;
    const index = Math.floor(seed / this.#about.seeds);
    this.#wanted.add(index);
    const bitmap = this.#loaded.get(index);
    if (!bitmap) {
      if (this.#there.has(index)) this.#load(index);
      return null;
    }
    const place = seed % this.#about.seeds;
    const [width, height] = this.cell;
    return { bitmap, x: (place % this.#about.columns) * width, y: Math.floor(place / this.#about.columns) * height, width, height };
  }

  async #load(index) {
    if (this.#loading.has(index) || this.#loading.size >= AT_ONCE || !this.#room()) return;
    this.#loading.add(index);
    const query = this.#query;
    try {
      const answer = await fetch(`map/sheet?${query}&sheet=${index}`);
      if (!answer.ok) return void this.#there.delete(index);
      const bitmap = await createImageBitmap(await answer.blob());
      if (query !== this.#query) return bitmap.close();
      this.#loaded.set(index, bitmap);
    } catch (wrong) {
      // One that was damaged or is gone stays a dot.
      this.#there.delete(index);
      console.debug(wrong.message);
    } finally {
      this.#loading.delete(index);
    }
    this.changed();
  }

  /** Whether one more can be held, by letting go of one that nobody looks at. */
  #room() {
    if (this.#loaded.size < MOST_LOADED) return true;
    const [idle] = [...this.#loaded.keys()].filter((one) => !this.#wanted.has(one));
    if (idle !== undefined) this.#forget([idle]);
    return idle !== undefined;
  }

  #forget(indices) {
    for (const index of indices) {
      this.#loaded.get(index)?.close();
      this.#loaded.delete(index);
    }
  }
}

/** Has the small pictures of a map drawn, behind everything else; those that are done are shown meanwhile. */
export class Drawing {
  #begun = new Set(); // maps whose pictures were, so that a cancelled one is not begun again by itself
  #ended = new Set(); // those that were cancelled or failed, to be begun again by hand

  constructor(stage, { settings, sheets, values }) {
    Object.assign(this, { settings, sheets, values });
    this.job = new JobBox(stage);
    this.again = button("Draw the small pictures", { title: "Go on where it stopped", press: () => this.#anew() });
    this.root = h("div", { class: "part" }, this.job.root, this.again);
    this.offer();
  }

  /** Offer to go on with what was cancelled or failed. */
  offer() {
    this.again.hidden = this.job.busy || !this.#ended.has(this.settings.key);
  }

  #anew() {
    for (const set of [this.#begun, this.#ended]) set.delete(this.settings.key);
    return this.start();
  }

  async start() {
    const { key } = this.settings;
    this.offer();
    if (this.#begun.has(key) || this.job.busy) return;
    this.#begun.add(key);
    await this.sheets.of(this.settings.sheetQuery());
    const every = setInterval(() => this.#look(), LOOK);
    const wish = { verb: "map", ...this.settings.job, method: "pca", points: false, pictures: true };
    const end = await this.job.run(wish, { words: "Drawing the map's small pictures, once", take: false });
    clearInterval(every);
    if (end.state === "done") fetch(end.url.replace(/\/file$/, ""), { method: "DELETE" });
    else this.#ended.add(key);
    this.offer();
    this.#look();
  }

  #look() {
    this.sheets.look();
    if (this.values.needsPictures) this.values.again();
  }
}
