// Which seeds' pictures there is room for: none over another, each on its own dot, and the same ones while the map is dragged.

const SMALLEST = 30; // pixels of a picture's longer side where the map is first near enough
const LARGEST = 80;
const NEAR = 1.5; // how much larger than at first the map has to be

export class Packing {
  #levels = new Map(); // level of zoom -> seeds that have room
  #home;

  constructor({ x, y }) {
    this.x = x;
    this.y = y;
    const reach = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    this.span = Math.max(...[reach(x), reach(y)].map(([low, high]) => high - low), 1e-9);
  }

  /** {seeds, size: [width, height] in pixels} for what is in view, or null where the map is too far away. */
  at({ scale, side }, { width, height }) {
    // A level is a step of the zoom by a quarter of a doubling; within one, pictures grow with the map.
    this.#home = side / this.span;
    const zoom = scale / this.#home;
    if (!(zoom >= NEAR)) return null;
    const level = Math.floor(4 * Math.log2(zoom));
    const longest = Math.min(LARGEST, SMALLEST * 2 ** (level / 10));
    const apart = longest / (this.#home * 2 ** (level / 4)); // on the map
    const shape = [width, height].map((part) => part / Math.max(width, height));
    const key = `${level} ${Math.round(side)} ${width} ${height}`;
    if (!this.#levels.has(key)) {
      if (this.#levels.size > 24) this.#levels.clear();
      this.#levels.set(key, this.#packed(shape.map((part) => part * apart)));
    }
    return { seeds: this.#levels.get(key), size: shape.map((part) => part * apart * scale) };
  }

  /** Seeds in their order, each where its picture [width, height] lies over none before. */
  #packed([width, height]) {
    const rows = new Map();
    const found = [];
    for (let seed = 0; seed < this.x.length; seed++) {
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
