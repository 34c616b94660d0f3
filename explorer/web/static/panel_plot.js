// The map's picture: plotly's scattergl from this server, loaded when the map is first looked at, in the page's colours.

import { h } from "./panel_kit.js";

const STILL = 4; // pixels a click may move
const ONCE = 600; // ms in which two clicks on one dot are one
let loading = null;

/** Load plotly.js once; it is large, so nobody pays for it before they open the map. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const fail = () => {
      loading = null;
      reject(new Error("The map could not be loaded; is the explorer still running?"));
    };
    document.head.append(h("script", { src: "/plotly.min.js", onload: () => resolve(window.Plotly), onerror: fail }));
  });
  return loading;
}

export class Plot {
  #listening = false;
  #at = null;
  #asking = null;
  #over = null; // the seed under the mouse
  #last = { seed: null, at: 0 }; // the last click
  #paint = null; // dark -> {colours, labels} of a map by class
  #alone = null; // the class whose dots are not faded

  /** hover(seed) gives {seed, picture(signal)}; click(seed); select(seeds). */
  constructor({ hover, click, select }) {
    this.act = { hover, click, select };
    this.host = h("div", { class: "plot", role: "img", "aria-label": "Map of W space; Nearest to the stage and Seed on the map do the same by keyboard" });
    this.ring = h("div", { class: "ring", hidden: true, "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" }, h("img", { alt: "" }), h("span", {}));
    this.root = h("div", { class: "plot-box" }, this.host, this.ring, this.tip);
    new MutationObserver(() => this.#recolour()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    new MutationObserver(() => this.#recolour()).observe(document.documentElement, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
  }

  /** Draw the dots; `paint(dark)` gives {colours, labels}, one a dot, where they have any. */
  draw({ x, y }, paint = null) {
    this.#paint = paint;
    this.#alone = null;
    const { ink, muted, line, accent } = this.#colours();
    const axis = { visible: false, zeroline: false, showgrid: false };
    const trace = { type: "scattergl", mode: "markers", x, y, hoverinfo: "none", marker: { size: x.length > 4000 ? 4 : 5, ...this.#marker(muted) }, selected: { marker: { color: accent, opacity: 1 } }, unselected: { marker: { opacity: 0.25 } } };
    const layout = {
      margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, showlegend: false, hovermode: "closest", hoverdistance: 12, dragmode: "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink }, newselection: { line: { color: accent } }, font: { color: ink }, activeselection: { fillcolor: line },
    };
    const config = { displaylogo: false, responsive: true, displayModeBar: true, modeBarButtonsToRemove: ["toImage", "autoScale2d", "sendChartToCloud"], plotlyServerURL: "", doubleClick: "reset", showTips: false };
    window.Plotly.react(this.host, [trace], layout, config).then(() => this.#listen());
  }

  /** Fade the dots of all other classes; null shows all alike. */
  only(label) {
    this.#alone = label;
    this.#recolour();
  }

  #marker(muted) {
    if (!this.#paint) return { color: muted, opacity: 0.6 };
    const { colours, labels } = this.#paint(getComputedStyle(this.root).colorScheme.includes("dark"));
    return { color: colours, opacity: labels.map((label) => (this.#alone === null ? 0.75 : label === this.#alone ? 1 : 0.06)) };
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

  #listen() {
    this.#put();
    if (this.#listening) return;
    this.#listening = true;
    this.host.on("plotly_hover", ({ points: [point] }) => this.#hover(point));
    this.host.on("plotly_unhover", () => this.leave());
    this.host.on("plotly_click", ({ points: [point] }) => this.#chosen(point.pointNumber));
    this.#listenToMouse();
    this.host.on("plotly_selected", (event) => this.act.select(event?.points?.map((point) => point.pointNumber) ?? []));
    this.host.on("plotly_deselect", () => this.act.select([]));
    for (const name of ["plotly_relayout", "plotly_relayouting", "plotly_afterplot"]) this.host.on(name, () => this.#put());
  }

  /** Plotly forgets what is pointed at when a click takes long, as it does on a busy machine; so look at the mouse itself. */
  #listenToMouse() {
    let down = null;
    this.host.addEventListener("pointerdown", ({ pointerType, clientX, clientY }) => {
      down = pointerType === "mouse" && this.#over !== null ? { seed: this.#over, clientX, clientY } : null;
    }, { capture: true });
    addEventListener("pointerup", ({ clientX, clientY }) => {
      if (down && Math.hypot(clientX - down.clientX, clientY - down.clientY) < STILL) this.#chosen(down.seed);
      down = null;
    }, { capture: true });
  }

  #chosen(seed) {
    const now = performance.now();
    if (seed === this.#last.seed && now - this.#last.at < ONCE) return;
    this.#last = { seed, at: now };
    this.act.click(seed);
  }

  /** Where (x, y) of the map lies in this element, in pixels. */
  pixel(x, y) {
    const { xaxis, yaxis } = this.host._fullLayout;
    return [xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y)];
  }

  #put() {
    const ready = this.#at && this.host._fullLayout?.xaxis?.l2p;
    this.ring.hidden = !ready;
    if (!ready) return;
    const [left, top] = this.pixel(...this.#at);
    this.ring.hidden = left < 0 || top < 0 || left > this.host.clientWidth || top > this.host.clientHeight;
    this.ring.style.transform = `translate(${left}px, ${top}px)`;
  }

  async #hover(point) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#over = point.pointNumber;
    const { words: said, picture } = this.act.hover(point.pointNumber);
    const [left, top] = this.pixel(point.x, point.y);
    const [image, words] = this.tip.children;
    words.textContent = said;
    this.tip.hidden = false;
    const flip = left > this.host.clientWidth / 2;
    this.tip.style.transform = `translate(${left}px, ${Math.min(top, this.host.clientHeight - 140)}px) translate(${flip ? "calc(-100% - 12px)" : "12px"}, -12px)`;
    try {
      const blob = await picture(asking.signal);
      if (asking.signal.aborted) return;
      if (image.src) URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(blob);
    } catch (wrong) {
      if (!asking.signal.aborted) words.textContent = `${said}: ${wrong.message}`;
    }
  }

  #colours() {
    const style = getComputedStyle(this.root);
    const read = (name, other) => style.getPropertyValue(name).trim() || other;
    return { ink: read("--ink", "#222"), muted: read("--muted", "#777"), line: read("--line", "#ccc"), accent: read("--accent", "#0891b2") };
  }

  #recolour() {
    if (!this.#listening) return;
    const { ink, muted, accent, line } = this.#colours();
    const { color, opacity } = this.#marker(muted);
    const each = (value) => (Array.isArray(value) ? [value] : value); // Plotly takes a list as one value a trace
    window.Plotly.update(this.host, { "marker.color": each(color), "marker.opacity": each(opacity), "selected.marker.color": accent }, { "font.color": ink, "modebar.color": muted, "modebar.activecolor": ink, "newselection.line.color": accent, "activeselection.fillcolor": line });
  }
}
