// Which seeds' pictures there is room for: none over another, each on its own dot, and the same ones while the map is dragged.

const SMALLEST = 30; // pixels of a picture's longer side where the map is first near enough
const LARGEST = 80;
const NEAR = 1.5; // how much larger than at first the map has to be
const FAR = 0.7; // and for the few that a whole map shows
const FACE = 38; // pixels of the longer side of those
const SPARSE = 1.35; // the room that each takes, in its own sides: dots stay between them
const FIRST = 800; // seeds that they are chosen from

export class Packing {
  #levels = new Map(); // level of zoom -> seeds that have room
  #home;

  constructor({ x, y }) {
    this.x = x;
    this.y = y;
    const reach = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    this.span = Math.max(...[reach(x), reach(y)].map(([low, high]) => high - low), 1e-9);
  }

  /** {seeds, size: [width, height] in pixels, few} for what is in view, or null where the map is too far away; `few` of a whole map. */
  at({ scale, side }, [width, height]) {
    // A level is a step of the zoom by a quarter of a doubling; within one, pictures grow with the map.
    this.#home = side / this.span;
    const zoom = scale / this.#home;
    if (!(zoom >= FAR)) return null;
    if (zoom < NEAR) return this.#few(side, [width, height]);
    const level = Math.floor(4 * Math.log2(zoom));
    const longest = Math.min(LARGEST, SMALLEST * 2 ** (level / 10));
    const apart = longest / (this.#home * 2 ** (level / 4)); // on the map
    const shape = [width, height].map((part) => part / Math.max(width, height));
    const seeds = this.#at(`${level} ${Math.round(side)} ${width} ${height}`, shape.map((part) => part * apart), this.x.length);
    return { seeds, size: shape.map((part) => part * apart * scale), few: false };
  }

  #few(side, [width, height]) {
    const size = [width, height].map((part) => (FACE * part) / Math.max(width, height));
    const seeds = this.#at(`few ${Math.round(side)} ${width} ${height}`, size.map((part) => (SPARSE * part) / this.#home), FIRST);
    return { seeds, size, few: true };
  }

  #at(key, size, most) {
    if (!this.#levels.has(key)) {
      if (this.#levels.size > 24) this.#levels.clear();
      this.#levels.set(key, this.#packed(size, most));
    }
    return this.#levels.get(key);
  }

  /** Of the first `most` seeds, in their order, each whose picture [width, height] lies over none before. */
  #packed([width, height], most) {
    const rows = new Map();
    const found = [];
    for (let seed = 0; seed < Math.min(most, this.x.length); seed++) {
      const [x, y] = [this.x[seed], this.y[seed]];
      const [column, row] = [Math.floor(x / width), Math.floor(y / height)];
      let free = true;
      for (let dy = -1; dy <= 1 && free; dy++) {
        for (let dx = -1; dx <= 1 && free; dx++) {
          const other = rows.get(`${row + dy} ${column + dx}`);
          if (other !== undefined) free = Math.abs(this.x[other] - x) >= width || Math.abs(this.y[other] - y) >= height;
        }
      }
      if (!free) continue;
      rows.set(`${row} ${column}`, seed);
      found.push(seed);
    }
    return found;
  }
}
