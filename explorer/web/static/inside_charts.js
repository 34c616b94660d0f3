// Beside the channels: the layer in numbers, each channel's mean and deviation as dots, the spectrum in two dimensions and in one.

import { h } from "./panel_kit.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 260;
const TALL = 150;
const EDGE = { left: 34, right: 8, top: 8, bottom: 30 };
const APART = 20; // pixels between two labels
const STANDS_OUT = 6; // times its surroundings from which a grid is worth a word

function s(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** From values to places along an axis. */
function scale([low, high], [from, to]) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function frame(label, across, up) {
  const { left, right, top, bottom } = EDGE;
  return s(
    "svg",
    { viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": label },
    s("rect", { class: "box", x: left, y: top, width: WIDE - left - right, height: TALL - top - bottom }),
    s("text", { class: "name", x: (left + WIDE - right) / 2, y: TALL - 4, "text-anchor": "middle" }, across),
    s("text", { class: "name", x: 11, y: (top + TALL - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${(top + TALL - bottom) / 2})` }, up),
  );
}

const INNER = { x: [EDGE.left, WIDE - EDGE.right], y: [TALL - EDGE.bottom, EDGE.top] };

export class Charts {
  #dots = null;
  #places = [];

  /** point(channel) when a dot is pointed at. */
  constructor({ point }) {
    this.point = point;
    this.facts = h("dl", { class: "inside-facts" });
    this.canvas = h("canvas", { width: 1, height: 1, role: "img", "aria-label": "Spectrum in two dimensions" });
    this.power = h("div", { class: "inside-power" }, this.canvas, h("p", { class: "hint" }, "Middle: coarse. Edges: as fine as pixels go."));
    this.radial = h("div", { class: "inside-chart" });
    this.scatter = h("div", { class: "inside-chart" });
    this.words = h("p", { class: "hint" });
    this.scatter.addEventListener("pointermove", (event) => this.#hover(event));
    this.scatter.addEventListener("pointerleave", () => this.point(null));
    this.root = h("section", { class: "inside-charts", "aria-label": "Spectrum" }, h("h3", {}, "Spectrum"), this.power, this.radial, this.words);
  }

  /** Pixels of the spectrum's longer side. */
  get side() {
    return Math.round(128 * (devicePixelRatio || 1));
  }

  draw(bitmap, told, layer) {
    Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    this.canvas.style.width = `${bitmap.width / (devicePixelRatio || 1)}px`;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    const facts = [
      ["Size", `${layer.size.join(" × ")}`], ["Channels", layer.channels], ["Mean", short(layer.mean)], ["Deviation", short(layer.deviation)],
      ["Style", layer.w === null ? "none" : `layer ${layer.w}`],
    ];
    this.facts.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
    this.#drawScatter(told);
    this.#drawRadial(told.spectrum);
  }

  /** Show which dot a channel is. */
  mark(channel) {
    const place = channel === null ? null : this.#places[channel];
    this.#dots?.setAttribute("visibility", place ? "visible" : "hidden");
    if (place) [this.#dots.cx.baseVal.value, this.#dots.cy.baseVal.value] = place;
  }

  #drawScatter({ means, deviations }) {
    const svg = frame("Mean and deviation of each channel", "mean of a channel", "deviation");
    const finite = means.flatMap((mean, k) => (mean === null || deviations[k] === null ? [] : [[mean, deviations[k]]]));
    const reach = Math.max(1e-12, ...finite.map(([mean]) => Math.abs(mean)));
    const top = Math.max(1e-12, ...finite.map(([, deviation]) => deviation));
    const x = scale([-reach * 1.08, reach * 1.08], INNER.x);
    const y = scale([0, top * 1.08], INNER.y);
    this.#places = means.map((mean, k) => (mean === null || deviations[k] === null ? null : [x(mean), y(deviations[k])]));
    // A line of no length with a round end is a dot: one path for hundreds of channels.
    const dots = this.#places.map((place) => (place ? `M${place[0].toFixed(1)} ${place[1].toFixed(1)}h0` : "")).join("");
    this.#dots = s("circle", { class: "marked", r: 4.5, visibility: "hidden" });
    svg.append(
      s("line", { class: "grid", x1: x(0), x2: x(0), y1: INNER.y[0], y2: INNER.y[1] }),
      s("path", { class: "dots", d: dots }),
      this.#dots,
      s("text", { x: x(0), y: INNER.y[0] + 12, "text-anchor": "middle" }, "0"),
      s("text", { x: INNER.x[1], y: INNER.y[0] + 12, "text-anchor": "end" }, short(reach)),
      s("text", { x: INNER.x[0], y: INNER.y[0] + 12 }, short(-reach)),
      s("text", { x: EDGE.left - 3, y: INNER.y[1] + 9, "text-anchor": "end" }, Number(top.toPrecision(2))),
    );
    this.scatter.replaceChildren(svg);
  }

  #drawRadial({ radial, marks }) {
    const svg = frame("Power over cycles per picture", "cycles per picture", "log power");
    const points = radial.flatMap((power, frequency) => (power > 0 ? [[frequency, Math.log10(power)]] : []));
    const levels = points.map(([, level]) => level);
    const [low, high] = points.length ? [Math.floor(Math.min(...levels)), Math.ceil(Math.max(...levels))] : [0, 1];
    const x = scale([0, radial.length - 1], INNER.x);
    const y = scale([low, Math.max(high, low + 1)], INNER.y);
    for (const level of [low, Math.max(high, low + 1)]) svg.append(s("text", { x: EDGE.left - 3, y: y(level) + (level === low ? 0 : 8), "text-anchor": "end" }, String(level)));
    let free = Infinity;
    for (const { frequency } of [...marks].reverse()) {
      svg.append(s("line", { class: "grid", x1: x(frequency), x2: x(frequency), y1: INNER.y[0], y2: INNER.y[1] }));
      if (x(frequency) > free - APART) continue;
      free = x(frequency);
      svg.append(s("text", { x: free, y: INNER.y[0] + 12, "text-anchor": "middle" }, String(frequency)));
    }
    svg.append(s("path", { class: "curve", d: points.map(([frequency, level], k) => `${k ? "L" : "M"}${x(frequency).toFixed(1)} ${y(level).toFixed(1)}`).join("") }));
    this.radial.replaceChildren(svg);
    const loudest = [...marks].sort((one, other) => (other.times ?? 0) - (one.times ?? 0))[0];
    this.words.textContent = !marks.length
      ? "The first size: nothing was doubled yet."
      : (loudest.times ?? 0) > STANDS_OUT
        ? `The grid of ${loudest.size.join(" × ")} stands out, ${short(loudest.times)} times its surroundings: a trace of doubling.`
        : "Lines mark the sizes it came through. A peak there would be a trace of doubling.";
  }

  #hover(event) {
    const svg = this.scatter.firstElementChild;
    const box = svg.getBoundingClientRect();
    const [px, py] = [((event.clientX - box.left) * WIDE) / box.width, ((event.clientY - box.top) * TALL) / box.height];
    let [nearest, best] = [null, 12];
    this.#places.forEach((place, channel) => {
      const away = place ? Math.hypot(place[0] - px, place[1] - py) : Infinity;
      if (away < best) [nearest, best] = [channel, away];
    });
    this.point(nearest);
  }
}

/** A number in three digits. */
export function short(value) {
  return value == null ? "not finite" : String(Number(value.toPrecision(3)));
}
