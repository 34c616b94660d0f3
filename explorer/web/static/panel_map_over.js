// What lies under and over the map's dots: density below; small pictures, groups and a drawn path above. It follows the
// dots frame by frame while they are dragged.

import { h } from "./panel_kit.js";
import { shading } from "./panel_map_density.js";
import { Packing } from "./panel_map_packing.js";

const RING = 5; // pixels around a dot of a group
const SPOT = 2.5; // the same of many, which are filled
const MANY = 40;

export class Over {
  #waiting = 0;
  #packing = null;
  #density = null;
  #map = null;
  #colours = null; // one a dot, or null
  #styles = null; // of the dots, while they are drawn here

  /** `sheets` gives small pictures, `faces` the few of a whole map; shown({near}) is told whether the map is near enough for more. */
  constructor(plot, { sheets, faces, shown }) {
    this.plot = plot;
    this.sheets = sheets;
    this.faces = faces;
    this.shown = shown;
    this.below = h("canvas", { class: "below", "aria-hidden": "true" });
    this.above = h("canvas", { class: "above", "aria-hidden": "true" });
    this.pictures = false;
    this.shade = false;
    this.groups = { a: [], b: [] };
    this.selected = null;
    this.path = null; // places on the map, [[x, y], ...]
    this.stations = []; // spots along it
    plot.root.prepend(this.below);
    plot.host.after(this.above);
    plot.follow(() => this.draw());
    new ResizeObserver(() => this.draw()).observe(plot.root);
  }

  /** Be over another map: {x, y, points}; `place(spot)` of the plot says where a spot lies. */
  over(map) {
    this.#map = map;
    this.#density = null;
    this.#packing = new Packing(map);
    this.path = null;
    this.stations = [];
    this.draw();
  }

  /** Frame small pictures in the dots' own colours; null for none. */
  colour(colours) {
    this.#colours = colours;
    this.draw();
  }

  /** Draw once before the next frame of the screen. */
  draw() {
    if (this.#waiting) return;
    this.#waiting = requestAnimationFrame(() => {
      this.#waiting = 0;
      this.#draw();
    });
  }

  #draw() {
    const view = this.plot.view();
    if (!view || !this.#map || !this.plot.root.clientWidth) return;
    this.#drawBelow(view);
    const pen = this.#pen(this.above, view);
    const { ink, accent, paper } = this.plot.colours();
    this.#drawGroup(pen, view, this.groups.a, { colour: accent, paper, round: true });
    this.#drawGroup(pen, view, this.groups.b, { colour: ink, paper, round: false });
    this.#drawPictures(pen, view); // over the groups, which may be half of the map
    this.#drawPath(pen, view, { accent, paper });
    pen.restore();
  }

  #pen(canvas, view) {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const { clientWidth: width, clientHeight: height } = this.plot.root;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(view.left, view.top, view.width, view.height);
    pen.clip();
    return pen;
  }

  #drawBelow(view) {
    const { moving } = this.plot;
    this.below.hidden = !this.shade && !moving;
    this.#styles = moving ? (this.#styles ?? this.plot.styles()) : null;
    if (this.below.hidden) return;
    const pen = this.#pen(this.below, view);
    if (this.shade) this.#drawDensity(pen, view);
    if (moving) this.#drawDots(pen, view);
    pen.restore();
  }

  /** The dots themselves, while the hand moves the map. */
  #drawDots(pen, view) {
    const { size, styles } = this.#styles;
    const { x, y } = this.#map;
    const [right, bottom] = [view.left + view.width, view.top + view.height];
    for (const { color, opacity, dots } of styles) {
      pen.fillStyle = color;
      pen.globalAlpha = opacity;
      for (const dot of dots) {
        const [left, top] = [view.across(x[dot]), view.down(y[dot])];
        if (left >= view.left && top >= view.top && left <= right && top <= bottom) pen.fillRect(left - size / 2, top - size / 2, size, size);
      }
    }
    pen.globalAlpha = 1;
    pen.fillStyle = this.plot.colours().ink;
    for (const point of this.#map.points) pen.fillRect(view.across(point.x) - 4, view.down(point.y) - 4, 8, 8);
  }

  #drawDensity(pen, view) {
    const { ink } = this.plot.colours();
    if (this.#density?.ink !== ink) this.#density = { ink, ...shading(this.#map, ink) };
    const { canvas, low, high } = this.#density;
    const [left, top] = [view.across(low[0]), view.down(high[1])];
    pen.drawImage(canvas, left, top, view.across(high[0]) - left, view.down(low[1]) - top);
  }

  #drawPictures(pen, view) {
    const ready = this.pictures && this.sheets.known;
    const found = ready ? this.#packing.at(view, this.sheets.cell) : null;
    if (found) {
      this.sheets.begin();
      const { seeds, size: [wide, high] } = found;
      pen.imageSmoothingQuality = "medium";
      for (const seed of seeds) {
        const [x, y] = [view.across(this.#map.x[seed]) - wide / 2, view.down(this.#map.y[seed]) - high / 2];
        if (x + wide < view.left || y + high < view.top || x > view.left + view.width || y > view.top + view.height) continue;
        const small = found.few ? this.faces.picture(seed) : this.sheets.picture(seed);
        if (!small) continue;
        pen.drawImage(small.bitmap, small.x, small.y, small.width, small.height, x, y, wide - 1, high - 1);
        const colour = this.#colours?.[seed];
        if (!colour) continue;
        pen.strokeStyle = colour;
        pen.lineWidth = 2;
        pen.strokeRect(x + 1, y + 1, wide - 3, high - 3);
      }
    }
    this.shown({ near: Boolean(found) && !found.few });
  }

  #drawGroup(pen, view, spots, { colour, paper, round }) {
    if (!spots.length) return;
    const size = spots.length > MANY ? SPOT : RING;
    pen.beginPath();
    for (const spot of spots) {
      const place = this.plot.place(spot);
      if (!place) continue;
      const [x, y] = [view.across(place[0]), view.down(place[1])];
      if (round) {
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 2 * Math.PI);
      } else {
        pen.rect(x - size, y - size, 2 * size, 2 * size);
      }
    }
    if (size === SPOT) {
      pen.fillStyle = colour;
      return pen.fill();
    }
    for (const [style, width] of [[paper, 4], [colour, 2]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.stroke();
    }
  }

  #drawPath(pen, view, { accent, paper }) {
    const line = (places, style, width, dash = []) => {
      pen.beginPath();
      places.forEach(([x, y], k) => pen[k ? "lineTo" : "moveTo"](view.across(x), view.down(y)));
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.setLineDash(dash);
      pen.stroke();
      pen.setLineDash([]);
    };
    pen.lineJoin = pen.lineCap = "round";
    if (this.path) {
      line(this.path, paper, 5);
      line(this.path, accent, 2.5);
    }
    const places = this.stations.map((spot) => this.plot.place(spot)).filter(Boolean);
    if (places.length > 1 && !this.path) line(places, accent, 2, [5, 4]);
    places.forEach(([x, y], k) => {
      pen.beginPath();
      pen.arc(view.across(x), view.down(y), 9, 0, 2 * Math.PI);
      pen.fillStyle = accent;
      pen.fill();
      pen.fillStyle = paper;
      pen.font = "600 10px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(String(k + 1), view.across(x), view.down(y) + 0.5);
    });
  }
}
