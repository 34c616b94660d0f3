// A few small pictures over a map that is seen as a whole, so that it shows what it is a map of before anybody zooms.

const SIDE = 64; // pixels asked for

export class Faces {
  #key = "";
  #found = new Map(); // seed -> ImageBitmap
  #asked = new Set();
  #asking = new AbortController();

  /** recipe(seed) is what a picture shows; changed() when one more is there. */
  constructor(stage, { recipe, changed }) {
    Object.assign(this, { stage, recipe, changed });
  }

  /** Be of another map: which network, class and number of seeds. */
  of(key) {
    if (key === this.#key) return;
    this.#key = key;
    this.#asking.abort();
    this.#asking = new AbortController();
    for (const bitmap of this.#found.values()) bitmap.close();
    this.#found.clear();
    this.#asked.clear();
  }

  /** {bitmap, x, y, width, height} of a seed's picture, or null, in which case it is asked for, after everything that the stage itself wants. */
  picture(seed) {
    if (!this.#asked.has(seed)) this.#ask(seed);
    const bitmap = this.#found.get(seed);
    return bitmap ? { bitmap, x: 0, y: 0, width: bitmap.width, height: bitmap.height } : null;
  }

  async #ask(seed) {
    const { signal } = this.#asking;
    this.#asked.add(seed);
    try {
      const bitmap = await createImageBitmap(await this.stage.picture(this.recipe(seed), { size: SIDE, signal }));
      if (signal.aborted) return bitmap.close();
      this.#found.set(seed, bitmap);
      this.changed();
    } catch (wrong) {
      // It stays a dot; what is wrong with the explorer or the network is said on the stage.
      console.debug(wrong.message);
    }
  }
}
