// The curves of a run over kimg: small charts under one another that share their stretch of the axis, drawn by plotly.

import { h } from "./panel_kit.js";
import { loadPlotly } from "./panel_plot.js";

const CROWDED = 5000; // rows, after which the server is asked for a thinner whole
const FEW = 30; // points that are drawn as dots too
const MOST_CHARTS = 24;

// [title, {column: words}]; a column that no line has is left out, and so is a chart without columns.
const LOG = [
  ["Losses", { loss_g: "generator", loss_d: "discriminator" }],
  ["Reconstruction", { reconstruction: "squared error", held: "of held components" }],
  ["Logits", { logit_real: "real", logit_fake: "generated", logit_held: "held out" }],
  ["Regularisation", { r1: "R1", path_length: "path length" }],
  ["Augmentation", { ada_p: "ADA p", ada_sign: "sign of real logits" }],
  ["Overfitting and spread", { overfit: "overfitting", spread: "spread of samples", nearest: "nearest sample" }],
  ["Throughput", { images_per_second: "images a second" }],
];
const READINGS = { value: "network", real: "real", noise: "noise" };
const WIDE = 20; // of a measure's largest value to its smallest
const ASIDE = new Set(["kimg", "seconds", "memory_gib", "size", "alpha", "fade_from", "fade_to", "images", "count", "n", "seed"]);

export class Curves {
  #tables = { log: empty(), metrics: empty() };
  #steps = [];
  #charts = new Map(); // title -> Chart
  #range = null; // the stretch of kimg that a hand has chosen
  #marked = null;
  #drawing = null;
  #again = false;

  /** pick(kimg) is told where a curve was clicked. */
  constructor({ pick }) {
    this.pick = pick;
    this.list = h("div", { class: "charts" });
    this.words = h("p", { class: "hint" }, "Curves come with the first tick.");
    this.whole = h("button", { type: "button", class: "word", hidden: true, onclick: () => this.#stretch(null) }, "Whole run");
    this.root = h("section", { class: "curves", "aria-label": "Curves" }, h("div", { class: "row" }, h("span", { class: "label" }, "Curves over kimg, thousands of images"), h("span", { class: "spring" }), this.whole), this.words, this.list);
    const recolour = () => this.#draw();
    new MutationObserver(recolour).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  }

  /** Begin with another run. */
  open(name) {
    this.name = name;
    this.#tables = { log: empty(), metrics: empty() };
    this.#steps = [];
    this.#marked = null;
    this.#stretch(null);
  }

  /** Add what a look at the server brought: columns, and whether they begin anew. */
  add(which, { columns, fresh, steps }) {
    const table = fresh ? (this.#tables[which] = empty()) : this.#tables[which];
    const count = Object.values(columns)[0]?.length ?? 0;
    if (which === "log" && (fresh || steps.length)) this.#steps = fresh ? steps : [...this.#steps, ...steps.filter(([, size]) => size !== this.#steps.at(-1)?.[1])];
    if (!count && !fresh) return;
    for (const name of Object.keys(columns)) table.columns[name] ??= Array(table.count).fill(null);
    for (const [name, column] of Object.entries(table.columns)) column.push(...(columns[name] ?? Array(count).fill(null)));
    table.count += count;
    this.#draw();
  }

  /** {size, alpha} of the newest line where the pictures grow, else null. */
  get grown() {
    const { alpha = [] } = this.#tables.log.columns;
    const fades = this.#steps.length > 1 || alpha.some((value) => value != null && value < 1);
    return fades && this.#steps.length ? { size: this.#steps.at(-1)[1], alpha: alpha.at(-1) ?? 1 } : null;
  }

  get crowded() {
    return Object.values(this.#tables).some(({ count }) => count > CROWDED);
  }

  /** Mark a moment on all curves, null for none. */
  mark(kimg) {
    if (kimg === this.#marked) return;
    this.#marked = kimg;
    this.#draw();
  }

  /** From where to where sizes faded in, [[kimg, kimg]], as far as the run has come. */
  #fades() {
    const { kimg = [], fade_from: from = [], fade_to: to = [] } = this.#tables.log.columns;
    const told = from.map((begin, k) => [begin, to[k]]).filter(([begin, end], k) => begin !== from[k - 1] && begin != null && end > begin);
    return told.map(([begin, end]) => [begin, Math.min(end, kimg.at(-1))]).slice(0, 16);
  }

  #stretch(range) {
    this.#range = range;
    this.whole.hidden = !range;
    this.#draw();
  }

  /** One drawing at a time, a chart a frame, so that the stage keeps moving. */
  #draw() {
    this.#again = true;
    this.#drawing ??= this.#drawAll().finally(() => (this.#drawing = null));
  }

  async #drawAll() {
    try {
      while (this.#again) {
        this.#again = false;
        const groups = this.#groups();
        this.words.hidden = groups.length > 0;
        for (const [title, chart] of this.#charts) {
          if (groups.some((group) => group.title === title)) continue;
          chart.root.remove();
          window.Plotly.purge(chart.host);
          this.#charts.delete(title);
        }
        if (groups.length) await loadPlotly();
        for (const group of groups) {
          await new Promise(requestAnimationFrame);
          this.#chart(group.title).draw(group, { steps: this.#steps, fades: this.#fades(), range: this.#range, marked: this.#marked });
        }
      }
    } catch (wrong) {
      this.words.hidden = false;
      this.words.textContent = wrong.message;
    }
  }

  #chart(title) {
    let chart = this.#charts.get(title);
    if (!chart) {
      chart = new Chart(title, { pick: this.pick, stretch: (range) => this.#stretch(range) });
      this.#charts.set(title, chart);
      this.list.append(chart.root);
    }
    return chart;
  }

  /** What is drawn: {title, x, series: [{words, y}]}. */
  #groups() {
    const { log, metrics } = this.#tables;
    const known = new Set(LOG.flatMap(([, columns]) => Object.keys(columns)));
    const others = Object.keys(log.columns).filter((name) => !known.has(name) && !ASIDE.has(name));
    const wanted = [...LOG, ...others.map((name) => [name, { [name]: name }])];
    const groups = wanted.map(([title, columns]) => group(log, title, Object.entries(columns)));
    return [...groups, ...measures(metrics)].filter(({ series }) => series.length).slice(0, MOST_CHARTS);
  }
}

function empty() {
  return { columns: {}, count: 0 };
}

function group({ columns }, title, wanted) {
  const series = wanted.filter(([name]) => columns[name]?.some((value) => value != null)).map(([name, words]) => ({ words, y: columns[name] }));
  return { title, x: columns.kimg ?? [], series: columns.kimg ? series : [] };
}

/** One chart a measure: what was measured, beside the same between real pictures and for noise, by which it can be read. */
function measures(table) {
  const found = new Map();
  for (const name of Object.keys(table.columns)) {
    const [, title, row] = /^(.*?)(?:\.(value|real|noise))?$/.exec(name);
    if (ASIDE.has(title)) continue;
    if (!found.has(title)) found.set(title, []);
    found.get(title).push([name, READINGS[row ?? "value"]]);
  }
  return [...found].map(([title, wanted]) => ({ ...group(table, title, wanted), wide: true }));
}

/** Whether only a logarithmic axis shows all of it. */
function isWide(series) {
  const values = series.flatMap(({ y }) => y).filter((value) => value != null);
  return values.length > 0 && Math.min(...values) > 0 && Math.max(...values) > WIDE * Math.min(...values);
}

class Chart {
  #listening = false;

  constructor(title, act) {
    this.act = act;
    this.title = title;
    this.host = h("div", { class: "chart", role: "img" });
    this.legend = h("div", { class: "legend" });
    this.root = h("figure", {}, h("figcaption", {}, h("span", { class: "chart-title" }, title), this.legend), this.host);
  }

  draw({ x, series, wide }, { steps, fades, range, marked }) {
    const colours = this.#colours();
    const looks = [[colours.accent, "solid", 1.8], [colours.ink, "solid", 1.2], [colours.muted, "dot", 1.5], [colours.muted, "dash", 1.2], [colours.ink, "dashdot", 1.2], [colours.accent, "dot", 1.2]];
    // Plotly takes an array that it knows for unchanged, so it gets copies.
    const traces = series.map(({ words, y }, k) => {
      const [color, dash, width] = looks[k % looks.length];
      const mode = y.length <= FEW ? "lines+markers" : "lines";
      return { type: "scatter", mode, name: words, x: x.slice(), y: y.slice(), connectgaps: true, line: { color, dash, width }, marker: { size: 4, color }, hovertemplate: "%{y:.4g}" };
    });
    this.#words(series, looks, x);
    const layout = this.#layout(colours, { steps: steps.slice(1), fades, range, marked, type: wide && isWide(series) ? "log" : "linear" });
    const coarse = matchMedia("(pointer: coarse)").matches;
    window.Plotly.react(this.host, traces, { ...layout, dragmode: coarse ? false : "zoom" }, { displayModeBar: false, responsive: true, doubleClick: false, showTips: false, plotlyServerURL: "" });
    this.#listen();
  }

  #layout({ ink, muted, line, accent, paper }, { steps, fades, range, marked, type }) {
    const shade = ([x0, x1]) => ({ type: "rect", x0, x1, y0: 0, y1: 1, yref: "paper", layer: "below", line: { width: 0 }, fillcolor: accent, opacity: 0.1 });
    const upright = (x, color, dash) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color, width: 1, dash } });
    const axis = { gridcolor: line, zeroline: false, linecolor: line, tickfont: { size: 11, color: muted }, automargin: false };
    return {
      height: 148, margin: { l: 46, r: 8, t: 6, b: 22 }, showlegend: false, hovermode: "x unified", hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink, size: 12 } },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 11 },
      xaxis: { ...axis, ...(range ? { range, autorange: false } : { autorange: true }), hoverformat: ".4~g", nticks: 6 },
      yaxis: { ...axis, type, fixedrange: true, nticks: 4, tickformat: "~g", zeroline: true, zerolinecolor: line },
      shapes: [...fades.map(shade), ...steps.map(([kimg]) => upright(kimg, muted, "dot")), ...(marked == null ? [] : [upright(marked, accent, "solid")])],
      annotations: steps.map(([kimg, size]) => ({ x: kimg, y: 1, yref: "paper", text: size.split(" ")[0], showarrow: false, xanchor: "left", yanchor: "top", font: { size: 10, color: muted } })),
    };
  }

  /** The legend with the newest values, which is also what a screen reader is told. */
  #words(series, looks, x) {
    const last = series.map(({ words, y }) => [words, y.findLast((value) => value != null)]);
    const items = last.map(([words, value], k) => h("span", { class: "series" }, h("i", { style: `border-top: 2px ${looks[k % looks.length][1] === "solid" ? "solid" : "dotted"} ${looks[k % looks.length][0]}` }), `${words} `, h("b", {}, short(value))));
    this.legend.replaceChildren(...items);
    this.host.setAttribute("aria-label", `${this.title} up to ${short(x.at(-1))} kimg: ${last.map(([words, value]) => `${words} ${short(value)}`).join(", ")}`);
  }

  #listen() {
    if (this.#listening) return;
    this.#listening = true;
    this.host.on("plotly_click", ({ points: [point] }) => this.act.pick(point.x));
    this.host.on("plotly_relayout", (change) => {
      const from = change["xaxis.range[0]"];
      if (from !== undefined) this.act.stretch([from, change["xaxis.range[1]"]]);
    });
    this.host.on("plotly_doubleclick", () => this.act.stretch(null));
  }

  #colours() {
    const style = getComputedStyle(this.root);
    const read = (name, other) => style.getPropertyValue(name).trim() || other;
    return { ink: read("--ink", "#222"), muted: read("--muted", "#777"), line: read("--line", "#ccc"), accent: read("--accent", "#0891b2"), paper: read("--surface", "#fff") };
  }
}

function short(value) {
  if (value == null) return "none";
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
