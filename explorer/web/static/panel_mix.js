// Style mixing: sources that live in the stage's recipe, and the matrix of rows x columns.

import { fitted, layersOf } from "./elsewhere.js";
import { nameGroup, resetOf, textField } from "./fields.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, hand, layerGroups, layerSizes, layersText, layerTicks, likeStage, onlySeed, openTab, parseLayers, parseSeeds, present, rested, SEED_LIMIT, shaped, shelfMenu, showClasses, slider, take, Thumbs, whenSeen } from "./panel_kit.js";
import { same } from "./recipe.js";
import { onlyNumbers } from "./typing.js";

const PARTS = ["#mix-sources", "#matrix-rows input", "#matrix-columns input", "#matrix-layers", "#matrix-coarse", "#matrix-middle", "#matrix-fine", "#matrix-rest", "#matrix-sync"];
const MOST_SOURCES = 64;
const MOST_CELLS = 400;

/** What this panel takes from the shelf, also before its tab was first opened. */
export function announce(stage) {
  stage.accept("Mix", (kept) => {
    openTab("Mix");
    hand("mix-add", kept);
  });
}

export function mount(stage) {
  present(PARTS, () => {
    shaped(stage, document.getElementById("mix-panel"));
    document.getElementById("mix-sources").append(sources(stage));
    matrix(stage);
  });
}

const anySeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 10000;

function sources(stage) {
  const thumbs = new Thumbs(stage, { size: 96 });
  const list = h("ol", { class: "sources", "aria-label": "Sources" });
  const empty = h("p", { class: "empty" }, "Nothing is mixed in yet. Add a source: its seed's styles replace this picture's in the layers you tick.");
  const add = (entry) => {
    if (stage.recipe.mix.length >= MOST_SOURCES) return stage.say(`At most ${MOST_SOURCES} sources; remove one first.`);
    const layers = layersText(unusedGroup(stage.recipe.mix, stage.network.layers));
    stage.set({ mix: [...stage.recipe.mix, { ...sourceOf({ seed: anySeed(), label: stage.recipe.label }, stage.network), layers, amount: 1, ...entry }] });
  };
  const clear = button("Remove all", { icon: "close", kind: "brief", label: "Remove all", title: "Remove all sources", press: () => stage.set({ mix: [] }) });
  const keep = button("Keep", { icon: "keep", kind: "brief", label: "Keep", title: "Keep this mix on the shelf", press: () => stage.keep() });
  const addKept = ({ name, recipe }) => {
    if (recipe.checkpoint && recipe.checkpoint !== stage.recipe.checkpoint) return stage.say(`${name} is of the network ${recipe.checkpoint}; a mix stays in one network.`);
    if (recipe.toward || recipe.blend?.length) return stage.say(`${name} is a picture between others, and a source is a seed or a point. Keep it as a point first (Project), then mix in the point.`);
    add(sourceOf(recipe, stage.network));
    const left = [recipe.mix?.length && "mix", recipe.steer?.length && "steering"].filter(Boolean);
    if (left.length) stage.remark(`A source is a seed or a point: ${name} is mixed in without its own ${left.join(" and ")}.`);
  };
  const fromShelf = shelfMenu(stage, { label: "From the shelf", pick: addKept });
  const bar = h("div", { class: "row wrap bar" }, button("Add a source", { icon: "plus", kind: "plain strong", press: () => add({}) }), fromShelf, h("span", { class: "spring" }), clear, keep);
  let rows = [];
  let starts = []; // the layers that each source came with
  let depth = 0;
  let drawn = "";
  take("mix-add", addKept);
  const draw = () => {
    const { mix } = stage.recipe;
    const layers = stage.network?.layers ?? 0;
    empty.hidden = mix.length > 0;
    clear.hidden = mix.length < 2;
    keep.hidden = mix.length < 1;
    // Ticks say at how many pixels their layers work, which another network of as many layers does elsewhere.
    const sizes = layers ? layerSizes(stage.network).join() : "";
    if (sizes !== drawn) {
      rows.splice(0).forEach((row) => row.leave());
      starts = [];
    }
    starts = mix.map((one, k) => starts[k] ?? layersText(layersOf(one, layers)));
    if (layers && depth && (layers < depth || mix.some(({ label }) => label >= Math.max(1, stage.network.classes)))) {
      const fit = fitted(mix, stage.network);
      // Setting what is there already would draw a good picture over the sentence on a refused one.
      if (!same(fit, mix)) queueMicrotask(() => stage.set({ mix: fit }));
    }
    [depth, drawn] = [layers, sizes];
    rows.splice(mix.length).forEach((row) => row.leave());
    while (depth && rows.length < mix.length) {
      const index = rows.length;
      rows.push(source(stage, thumbs, { index, start: () => starts[index], leave: () => starts.splice(index, 1) }));
      list.append(rows.at(-1).root);
    }
    rows.forEach((row, index) => row.show(mix[index]));
  };
  stage.subscribe(draw);
  return h("section", { "aria-label": "Mix in" }, list, empty, bar);
}

/** The first group of layers that no source changes yet: one over another would hide it. */
function unusedGroup(mix, count) {
  const { coarse, middle, fine } = layerGroups(count);
  const used = new Set(mix.flatMap((one) => [...layersOf(one, count)]));
  return [middle, coarse, fine].find((group) => group.length && !group.some((layer) => used.has(layer))) ?? middle;
}

/** A picture's seed or point as a source; of a network with classes its class too, 0 where the recipe names none. */
function sourceOf({ seed = 0, point, label }, { classes }) {
  const from = point ? { point, seed: undefined } : { seed };
  return classes ? { ...from, label: label ?? 0 } : from;
}

function source(stage, thumbs, { index, start, leave }) {
  let entry = {};
  let bare = false; // no layer is ticked, which a recipe says as amount 0
  const change = (patch, moving = false) => {
    const mix = stage.recipe.mix.map((one, k) => (k === index ? { ...one, ...patch } : one));
    stage.set({ mix }, { moving });
  };
  const seedTo = (seed) => change({ seed: ((seed % SEED_LIMIT) + SEED_LIMIT) % SEED_LIMIT, point: undefined });
  const label = h("select", { "aria-label": `Source ${index + 1} class`, onchange: () => change({ label: Number(label.value) }) });
  const picture = thumbs.make({ label: `Source ${index + 1} to the stage`, title: "To the stage", press: (recipe) => stage.show({ ...stage.recipe, ...recipe, mix: [] }) });
  const number = h("input", { type: "number", "aria-label": `Source ${index + 1} seed`, min: 0, max: SEED_LIMIT - 1, step: 1, inputmode: "numeric" });
  onlyNumbers(number);
  number.addEventListener("input", () => number.checkValidity() && number.value !== "" && change({ seed: number.valueAsNumber, point: undefined }, true));
  number.addEventListener("change", () => (show(entry, true), stage.set({})));
  const amount = slider({ label: "Amount", min: 0, max: 1, step: 0.01, value: 1, oninput: (value, moving) => change({ amount: value }, moving) });
  const tick = (layers) => {
    bare = layers.size === 0;
    if (bare) change({ amount: 0 });
    else change({ layers: layersText(layers), ...(entry.amount === 0 ? { amount: 1 } : {}) });
  };
  const ticks = layerTicks({ network: stage.network, value: new Set(), oninput: tick });
  const reset = () => change({ layers: start(), ...(bare ? { amount: 1 } : {}) });
  const back = button("", { icon: "reset", kind: "icon reset", label: `Reset layers of source ${index + 1}`, press: reset });
  ticks.root.querySelector(".words").append(back);
  const name = h("span", { class: "label" }, `Source ${index + 1}`);
  const remove = () => {
    leave();
    stage.set({ mix: stage.recipe.mix.filter((_, k) => k !== index) });
  };
  const root = h(
    "li",
    { class: "source" },
    picture,
    h(
      "div",
      { class: "source-body" },
      h(
        "div",
        { class: "row" },
        name,
        button("", { icon: "left", kind: "icon", label: `Source ${index + 1}: previous seed`, press: () => seedTo((entry.seed ?? 0) - 1) }),
        number,
        button("", { icon: "right", kind: "icon", label: `Source ${index + 1}: next seed`, press: () => seedTo((entry.seed ?? 0) + 1) }),
        button("", { icon: "dice", kind: "icon", label: `Source ${index + 1}: any seed`, press: () => seedTo(anySeed()) }),
        label,
        h("span", { class: "spring" }),
        button("", { icon: "close", kind: "icon", label: `Remove source ${index + 1}`, title: "Remove", press: remove }),
      ),
      ticks.root,
      amount.root,
    ),
  );
  const show = (next, force = false) => {
    entry = next;
    if (force || document.activeElement !== number) number.value = next.point ? "" : next.seed ?? 0;
    number.placeholder = next.point ?? "";
    amount.show(next.amount ?? 1, document.activeElement);
    bare &&= next.amount === 0;
    const ticked = bare ? [] : [...layersOf(next, stage.network.layers)];
    ticks.show(ticked);
    back.disabled = layersText(ticked) === start();
    back.title = `Back to layers ${start()}`;
    showClasses(label, stage.network, next.label ?? stage.recipe.label ?? 0);
    const own = next.label == null ? {} : { label: next.label };
    thumbs.set(picture, { ...onlySeed(stage.recipe, next.seed ?? 0), point: next.point ?? null, ...own });
  };
  return { root, show, leave: () => (thumbs.drop(picture), root.remove()) };
}

function matrix(stage) {
  const thumbs = new Thumbs(stage, { size: 128 });
  const job = new JobBox(stage);
  let wish = { rows: "0-3", columns: "10-14", layers: "" };
  let cells = [];
  let seen = false;
  let drawn = "";
  const grid = h("div", { class: "matrix", role: "group", "aria-label": "Matrix" });
  const classes = classMenus(() => later());
  const redraw = () => {
    if (!seen || !stage.network) return;
    const rows = parseSeeds(wish.rows);
    const columns = parseSeeds(wish.columns);
    const shape = JSON.stringify([rows, columns]);
    if (shape !== drawn) cells = build(stage, { thumbs, grid, cells, rows, columns, wish: () => wish });
    drawn = shape;
    const labels = classes.show(stage);
    const base = onlySeed(stage.recipe, 0);
    for (const { element, row, column } of cells) thumbs.set(element, recipeOf(base, { row, column, layers: wish.layers, labels }));
  };
  const seeds = (key) => (text) => {
    const next = { ...wish, [key]: text };
    const count = parseSeeds(next.rows).length * parseSeeds(next.columns).length;
    if (count > MOST_CELLS) throw new Error(`${count} cells are too many to look at; at most ${MOST_CELLS}`);
    wish = next;
    later();
  };
  const later = rested(redraw, 150);
  textField("matrix-rows", { name: "Row seeds", hint: "Give the picture.", read: seeds("rows") });
  textField("matrix-columns", { name: "Column seeds", hint: "Give the ticked layers their styles.", read: seeds("columns") });
  const save = button("Save PNG", {
    icon: "save",
    press: () => job.run({ verb: "mix", ...wish, ...likeStage(stage.recipe), ...classes.wish(stage) }, { words: "Drawing the matrix" }),
  });
  const showLayers = mountLayers(stage, (layers) => {
    wish = { ...wish, layers: layersText(layers) };
    save.disabled = layers.size === 0;
    later();
  });
  const fit = () => {
    if (!stage.network) return;
    const { layers } = stage.network;
    const sizes = layerSizes(stage.network).join();
    if (sizes === fit.sizes) return;
    showLayers(layers === fit.layers ? parseLayers(wish.layers, layers) : new Set(layerGroups(layers).middle));
    Object.assign(fit, { layers, sizes });
  };
  const settled = rested(redraw, 400);
  stage.subscribe(() => (fit(), settled()));
  const root = nameGroup("matrix", "Mixing matrix", "region");
  document.getElementById("matrix-rest").append(
    classes.root,
    h("div", { class: "scroller" }, grid),
    h("div", { class: "row wrap" }, h("p", { class: "hint" }, "Click a cell to bring it to the stage."), h("span", { class: "spring" }), save),
    job.root,
  );
  whenSeen(root, (now) => ((seen = now), redraw()));
}

/** The gr.CheckboxGroup of layers and the words for groups of them; `choose(Set)`. Returns what shows a Set. */
function mountLayers(stage, choose) {
  const root = nameGroup("matrix-layers", "Layers");
  const words = Object.fromEntries(["coarse", "middle", "fine"].map((name) => [name, document.getElementById(`matrix-${name}`)]));
  let value = new Set();
  const back = resetOf(root, { name: "Layers", press: () => show(new Set(groups().middle)) });
  const groups = () => layerGroups(stage.network.layers);
  const name = () => {
    const sizes = layerSizes(stage.network);
    root.querySelectorAll("input").forEach((tick, layer) => {
      tick.setAttribute("aria-label", `Layer ${layer}, ${sizes[layer]} pixels`);
      tick.closest("label").title = tick.title = `Layer ${layer}, works at ${sizes[layer]} pixels`;
      tick.closest("label").classList.toggle("first", sizes[layer] !== sizes[layer - 1]);
    });
  };
  const take = (next) => {
    value = next;
    for (const [word, button] of Object.entries(words)) {
      button.title = `Layers ${layersText(groups()[word])}`;
      button.setAttribute("aria-pressed", String(groups()[word].every((layer) => value.has(layer))));
    }
    back.disabled = layersText(value) === layersText(groups().middle);
    choose(value);
  };
  const show = (next) => {
    take(next);
    const choices = layerSizes(stage.network).map((_, layer) => String(layer));
    stage.menus.show("matrix-layers", { choices, value: [...next].sort((a, b) => a - b).map(String) });
    // The same choices stay in the page, also where their layers are of another size.
    name();
  };
  for (const [word, button] of Object.entries(words)) {
    button.addEventListener("click", () => {
      const layers = groups()[word];
      const on = !layers.every((layer) => value.has(layer));
      show(new Set(on ? [...value, ...layers] : [...value].filter((layer) => !layers.includes(layer))));
    });
  }
  stage.menus.mount("matrix-layers", (layers) => take(new Set(layers.map(Number))), { sync: "matrix-sync" });
  new MutationObserver(name).observe(root, { childList: true, subtree: true });
  return show;
}

/** A class for the rows and one for the columns, the stage's until one is chosen; hidden where there are none. */
function classMenus(changed) {
  const chosen = {};
  let of = "";
  const menus = Object.fromEntries(["rows", "columns"].map((side) => [side, h("select", { "aria-label": `Class of the ${side}`, onchange: () => ((chosen[side] = Number(menus[side].value)), changed()) })]));
  const root = h("div", { class: "row wrap", hidden: true }, ...Object.entries(menus).map(([side, menu]) => h("label", { class: "row" }, h("span", { class: "label" }, `Class of the ${side}`), menu)));
  const labels = ({ network, recipe }) => {
    const key = `${network.name} ${network.sha}`;
    if (of !== key) for (const side of Object.keys(chosen)) delete chosen[side];
    of = key;
    return network.classes ? { rows: chosen.rows ?? recipe.label ?? 0, columns: chosen.columns ?? recipe.label ?? 0 } : {};
  };
  const show = (stage) => {
    const now = labels(stage);
    root.hidden = !stage.network.classes;
    for (const [side, menu] of Object.entries(menus)) showClasses(menu, stage.network, now[side] ?? 0);
    return now;
  };
  const wish = (stage) => (stage.network.classes ? { label: labels(stage).rows, column_label: labels(stage).columns } : {});
  return { root, show, wish };
}

function recipeOf(base, { row, column, layers, labels }) {
  const seed = row ?? column;
  const of = (side) => (labels[side] == null ? {} : { label: labels[side] });
  const picture = { ...base, ...of(row === null ? "columns" : "rows"), seed };
  if (row === null || column === null || !layers) return picture;
  return { ...picture, mix: [{ seed: column, ...of("columns"), layers, amount: 1 }] };
}

/** Lay out head row, head column and cells; returns [{element, row, column}] with null for "alone". */
function build(stage, { thumbs, grid, cells, rows, columns }) {
  cells.forEach(({ element }) => thumbs.drop(element));
  const bring = (recipe) => stage.show({ ...stage.recipe, ...recipe });
  const make = (row, column) => {
    const head = row === null || column === null;
    const words = row === null ? `column ${column}` : column === null ? `row ${row}` : `row ${row}, column ${column}`;
    const element = thumbs.make({ label: words, title: `To the stage: ${words}`, press: bring, kind: head ? "thumb head" : "thumb cell" });
    if (head) element.append(h("span", { class: "seed" }, String(row ?? column)));
    return { element, row, column };
  };
  const corner = h("span", { class: "corner", "aria-hidden": "true" }, "columns →", h("br"), "rows ↓");
  const made = [...columns.map((column) => make(null, column)), ...rows.flatMap((row) => [make(row, null), ...columns.map((column) => make(row, column))])];
  grid.style.setProperty("--columns", columns.length + 1);
  grid.replaceChildren(corner, ...made.map(({ element }) => element));
  return made;
}
