// The map's picture: plotly's scattergl from this server, loaded when the map is first looked at, in the page's colours.

import { h } from "./panel_kit.js";
import { drawing, moving } from "./panel_map_hands.js";

const STILL = 4; // pixels a click may move
const ONCE = 600; // ms in which two clicks on one dot are one
const MODES = { zoom: "zoom", move: false, select: "lasso", path: false }; // moving and drawing are done here
let loading = null;

/** Load plotly.js once; it is large, so nobody pays for it before they open the map. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const fail = () => {
      loading = null;
      reject(new Error("The map could not be loaded; is the explorer still running?"));
    };
    document.head.append(h("script", { src: "plotly.min.js", onload: () => resolve(window.Plotly), onerror: fail }));
  });
  return loading;
}

/** Dots are called by their spot: a number is a seed, a word the name of a kept picture. */
export class Plot {
  #listening = false;
  #at = null;
  #asking = null;
  #over = null; // the spot under the mouse
  #last = { spot: null, at: 0 }; // the last click
  #paint = null; // dark -> {colours, labels} of coloured dots
  #alone = null; // the label whose dots are not faded
  #map = null;
  #named = new Map(); // name of a kept picture -> its place
  #mode = "zoom";
  #shift = null; // pixels that the hand has moved the map by, [x, y]
  #followers = [];

  /** hover(spot) gives {words, picture(signal)}; click(spot); select(spots); drawing(line) and drawn(line) of places. */
  constructor({ hover, click, select, drawing, drawn }) {
    this.act = { hover, click, select, drawing, drawn };
    this.host = h("div", { class: "plot", role: "img", "aria-label": "Map of W space; Nearest to the stage and Seed on the map do the same by keyboard" });
    this.ring = h("div", { class: "ring", hidden: true, "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" }, h("img", { alt: "" }), h("span", {}));
    this.root = h("div", { class: "plot-box" }, this.host, this.ring, this.tip);
    new MutationObserver(() => this.#recolour()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    new MutationObserver(() => this.#recolour()).observe(document.documentElement, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
    this.follow(() => this.#put());
    new ResizeObserver(() => this.#listening && this.host.clientHeight && window.Plotly.Plots.resize(this.host)).observe(this.host);
  }

  /** Draw the dots; `paint(dark)` gives {colours, labels}, one a dot, where they have any. */
  draw(map, paint = null) {
    this.#map = map;
    this.#named = new Map(map.points.map(({ name, x, y }) => [name, [x, y]]));
    this.#paint = paint;
    this.#alone = null;
    const { ink, muted, line, accent, paper } = this.colours();
    const { x, y, points } = map;
    const axis = { visible: false, zeroline: false, showgrid: false };
    const chosen = { selected: { marker: { color: accent, opacity: 1 } }, unselected: { marker: { opacity: 0.25 } } };
    const dots = { type: "scattergl", mode: "markers", x, y, hoverinfo: "none", marker: { size: x.length > 4000 ? 4 : 5, ...this.#marker(muted) }, ...chosen };
    const marks = { symbol: "diamond", size: 12, color: ink, opacity: 1, line: { color: paper, width: 1.5 } };
    const named = { type: "scattergl", mode: "markers", x: points.map((one) => one.x), y: points.map((one) => one.y), hoverinfo: "none", marker: marks, selected: { marker: { color: accent } }, unselected: { marker: { opacity: 0.6 } } };
    const layout = {
      margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, showlegend: false, hovermode: "closest", hoverdistance: 12, dragmode: MODES[this.#mode],
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink }, newselection: { line: { color: accent } }, font: { color: ink }, activeselection: { fillcolor: line },
    };
    const removed = ["toImage", "autoScale2d", "sendChartToCloud", "zoom2d", "pan2d", "select2d", "lasso2d"];
    const config = { displaylogo: false, responsive: true, displayModeBar: true, modeBarButtonsToRemove: removed, plotlyServerURL: "", doubleClick: "reset", showTips: false, scrollZoom: true };
    window.Plotly.react(this.host, points.length ? [dots, named] : [dots], layout, config).then(() => this.#listen());
  }

  /** Colour the dots that are there anew. */
  paint(paint) {
    this.#paint = paint;
    this.#alone = null;
    this.#recolour();
  }

  /** Fade the dots of all other labels; null shows all alike. */
  only(label) {
    this.#alone = label;
    this.#recolour();
  }

  /** What a drag does: zoom, move, select or path. */
  mode(name) {
    this.#mode = name;
    this.root.classList.toggle("drawing", name === "path");
    this.root.classList.toggle("dragging", name === "move");
    if (this.#listening) window.Plotly.relayout(this.host, { dragmode: MODES[name] });
  }

  /** Call `hear` whenever the dots have moved on the screen. */
  follow(hear) {
    this.#followers.push(hear);
  }

  /** The part of the map that is in view: where it lies in pixels, across(x) and down(y) of places; null before the first. */
  view() {
    const { xaxis, yaxis } = this.host._fullLayout ?? {};
    if (!xaxis?._length || !xaxis.range) return null;
    // The ranges move with the hand, Plotly's own scales only once it rests.
    const [wide, high] = [xaxis._length, yaxis._length];
    const [left, top] = this.#shift ?? [0, 0];
    const moved = ([from, to], share) => [from + (to - from) * share, to + (to - from) * share];
    const [[x0, x1], [y0, y1]] = [moved(xaxis.range, -left / wide), moved(yaxis.range, top / high)];
    const across = (x) => xaxis._offset + (wide * (x - x0)) / (x1 - x0);
    const down = (y) => yaxis._offset + (high * (y1 - y)) / (y1 - y0);
    const place = (left, top) => [x0 + ((left - xaxis._offset) / wide) * (x1 - x0), y1 - ((top - yaxis._offset) / high) * (y1 - y0)];
    return { left: xaxis._offset, top: yaxis._offset, width: wide, height: high, side: Math.min(wide, high), scale: wide / (x1 - x0), across, down, place, ranges: [[x0, x1], [y0, y1]] };
  }

  /** Whether the hand moves the map now, so that the dots are drawn by somebody else, in the styles of `styles()`. */
  get moving() {
    return this.#shift !== null;
  }

  /** {size, styles: [{color, opacity, dots}]}: which dots look alike. */
  styles() {
    const { muted } = this.colours();
    const { color, opacity } = this.#marker(muted);
    const styles = new Map();
    const one = (list, k) => (Array.isArray(list) ? list[k] : list);
    for (let k = 0; k < this.#map.x.length; k++) {
      const key = `${one(color, k)} ${one(opacity, k)}`;
      if (!styles.has(key)) styles.set(key, { color: one(color, k), opacity: one(opacity, k), dots: [] });
      styles.get(key).dots.push(k);
    }
    return { size: this.host.data[0].marker.size, styles: [...styles.values()] };
  }

  /** Where a spot lies on the map, [x, y]. */
  place(spot) {
    if (typeof spot === "string") return this.#named.get(spot);
    return this.#map && spot < this.#map.x.length ? [this.#map.x[spot], this.#map.y[spot]] : undefined;
  }

  /** The page's colours here. */
  colours() {
    const style = getComputedStyle(this.root);
    const read = (name, other) => style.getPropertyValue(name).trim() || other;
    return { ink: read("--ink", "#222"), muted: read("--muted", "#777"), line: read("--line", "#ccc"), accent: read("--accent", "#0891b2"), paper: read("--paper", "#f4f4f4") };
  }

  get dark() {
    return getComputedStyle(this.root).colorScheme.includes("dark");
  }

  /** Mark the stage's own place, or take the mark away. */
  mark(x, y) {
    this.#at = x === null ? null : [x, y];
    this.#put();
  }

  leave() {
    this.#asking?.abort();
    this.#over = null;
    this.tip.hidden = true;
  }

  /** Take the marks of a selection away. */
  unselect() {
    if (this.#listening) window.Plotly.update(this.host, { selectedpoints: null }, { selections: [] });
  }

  #marker(muted) {
    if (!this.#paint) return { color: muted, opacity: 0.6 };
    const { colours, labels } = this.#paint(this.dark, muted);
    const faded = (label) => (label === null ? 0.18 : this.#alone === null ? 0.8 : label === this.#alone ? 1 : 0.06);
    return { color: colours, opacity: labels.map(faded) };
  }

  #spot({ curveNumber, pointNumber }) {
    return curveNumber ? this.#map.points[pointNumber].name : pointNumber;
  }

  #tell() {
    for (const hear of this.#followers) hear();
  }

  #listen() {
    this.#tell();
    if (this.#listening) return;
    this.#listening = true;
    this.host.on("plotly_hover", ({ points }) => this.#shift ?? this.#hover(this.#spot(points.at(-1))));
    this.host.on("plotly_unhover", () => this.leave());
    this.host.on("plotly_click", ({ points }) => this.#chosen(this.#spot(points.at(-1))));
    this.#listenToMouse();
    this.#listenToWheel();
    drawing(this, { on: () => this.#mode === "path", begin: () => this.leave(), drawing: this.act.drawing, drawn: this.act.drawn });
    moving(this, { on: () => this.#mode === "move" && !this.moving, still: STILL, moved: (shift) => this.#moved(shift), rest: (again) => this.#rest(again) });
    this.host.on("plotly_selected", (event) => this.act.select(event?.points?.map((point) => this.#spot(point)) ?? []));
    this.host.on("plotly_deselect", () => this.act.select([]));
    for (const name of ["plotly_relayout", "plotly_relayouting", "plotly_afterplot"]) this.host.on(name, () => this.#tell());
  }

  /** Plotly forgets what is pointed at when a click takes long, as it does on a busy machine; so look at the mouse itself. */
  #listenToMouse() {
    let down = null;
    this.host.addEventListener("pointerdown", ({ pointerType, clientX, clientY }) => {
      down = pointerType === "mouse" && this.#over !== null ? { spot: this.#over, clientX, clientY } : null;
    }, { capture: true });
    // A line that ends where it began is no click.
    addEventListener("pointermove", ({ clientX, clientY }) => {
      if (down && Math.hypot(clientX - down.clientX, clientY - down.clientY) >= STILL) down = null;
    }, { capture: true });
    addEventListener("pointerup", ({ clientX, clientY }) => {
      if (down && Math.hypot(clientX - down.clientX, clientY - down.clientY) < STILL) this.#chosen(down.spot);
      down = null;
    }, { capture: true });
  }

  /** Ctrl and wheel zooms, as on the stage; the wheel alone scrolls the page. */
  #listenToWheel() {
    this.host.addEventListener("wheel", (event) => !event.ctrlKey && event.stopPropagation(), { capture: true, passive: true });
  }

  #moved(shift) {
    this.#shift = shift;
    this.root.classList.add("moving");
    this.tip.hidden = true;
    this.#tell();
  }

  async #rest(again) {
    const [across, down] = this.view().ranges;
    await window.Plotly.relayout(this.host, { "xaxis.range": across, "yaxis.range": down });
    if (again()) return;
    this.#shift = null;
    this.root.classList.remove("moving");
    this.#tell();
  }

  #chosen(spot) {
    const now = performance.now();
    if (spot === this.#last.spot && now - this.#last.at < ONCE) return;
    this.#last = { spot, at: now };
    this.act.click(spot);
  }

  #put() {
    const view = this.#at && this.view();
    this.ring.hidden = !view;
    if (!view) return;
    const [left, top] = [view.across(this.#at[0]), view.down(this.#at[1])];
    this.ring.hidden = left < 0 || top < 0 || left > this.host.clientWidth || top > this.host.clientHeight;
    this.ring.style.transform = `translate(${left}px, ${top}px)`;
  }

  async #hover(spot) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#over = spot;
    const { words: said, picture } = this.act.hover(spot);
    const [view, [x, y]] = [this.view(), this.place(spot)];
    const [left, top] = [view.across(x), view.down(y)];
    const [image, words] = this.tip.children;
    words.textContent = said;
    image.style.visibility = "hidden"; // the one before is another seed's
    this.tip.hidden = false;
    const flip = left > this.host.clientWidth / 2;
    this.tip.style.transform = `translate(${left}px, ${Math.min(top, this.host.clientHeight - 140)}px) translate(${flip ? "calc(-100% - 12px)" : "12px"}, -12px)`;
    try {
      const blob = await picture(asking.signal);
      if (asking.signal.aborted) return;
      if (image.src) URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(blob);
      await image.decode();
      if (!asking.signal.aborted) image.style.visibility = "";
    } catch (wrong) {
      if (!asking.signal.aborted) words.textContent = `${said}: ${wrong.message}`;
    }
  }

  #recolour() {
    if (!this.#listening) return;
    const { ink, muted, accent, line, paper } = this.colours();
    const { color, opacity } = this.#marker(muted);
    const marks = this.#named.size ? { color: [color, ink], opacity: [opacity, 1] } : { color: [color], opacity: [opacity] };
    const update = { "marker.color": marks.color, "marker.opacity": marks.opacity, "marker.line.color": paper, "selected.marker.color": accent };
    window.Plotly.update(this.host, update, { "font.color": ink, "modebar.color": muted, "modebar.activecolor": ink, "newselection.line.color": accent, "activeselection.fillcolor": line });
    this.#tell();
  }
}
