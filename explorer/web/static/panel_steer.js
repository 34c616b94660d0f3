// Directions as sliders. What is steered lives in the stage's recipe alone: a card is one entry of `steer`, and every change
// goes through stage.set like any other control's.

import { asked } from "./asking.js";
import { BUILT_IN, layersOf, steerable } from "./elsewhere.js";
import { button, h, hand, layersText, layerTicks, openTab, present, shaped, slider, take } from "./panel_kit.js";
import { Found } from "./panel_steer_found.js";
import { mountPiles } from "./panel_steer_piles.js";
import { mountTable } from "./panel_steer_table.js";
import { same } from "./recipe.js";

const PARTS = ["#steer-cards", "#steer-method [type=radio]", "#steer-layers input", "#steer-all", "#steer-coarse", "#steer-middle", "#steer-fine", "#steer-found", "#steer-piles", "#steer-learned [type=radio]", "#steer-pile-name input", "#steer-pile-go", "#steer-pile-made", "#steer-table-rest"];
const MOST = 64;
const REACH = 5; // standard deviations that a slider goes each way; typing goes to 100

/** What this panel takes from elsewhere, also before its tab was first opened. */
export function announce(stage) {
  for (const [title, side] of [["Steer: pile A", "a"], ["Steer: pile B", "b"]]) {
    stage.accept(title, (kept) => {
      openTab("Steer");
      hand("steer-pile", { side, recipe: kept.recipe });
    });
  }
  take("piles", (piles) => {
    openTab("Steer");
    hand("steer-piles", piles);
  });
  leaveElsewhere(stage);
}

export function mount(stage) {
  present(PARTS, () => {
    shaped(stage, document.getElementById("steer-panel"));
    const directions = new Directions(stage);
    document.getElementById("steer-cards").append(cards(stage, directions));
    const found = new Found(stage, directions);
    mountPiles(stage, directions, found);
    mountTable(stage, directions, found);
  });
}

/** What is known of the directions of the stage's network, by name, and the changes of `steer`. */
export class Directions {
  #known = new Map();
  #heard = new Set();

  constructor(stage) {
    this.stage = stage;
  }

  /** Call `hear()` when more is known. */
  subscribe(hear) {
    this.#heard.add(hear);
  }

  get(name) {
    return this.#known.get(name);
  }

  /** Ask the server: {method, layers, count} -> entries. */
  async list(query) {
    const address = new URLSearchParams({ checkpoint: this.stage.recipe.checkpoint, ...query });
    const { directions } = await asked(`directions?${address}`);
    for (const entry of directions) this.#known.set(entry.name, entry);
    for (const hear of this.#heard) hear();
    return directions;
  }

  /** Put a direction at an amount, or add it. */
  put(entry, amount, layers = entry.layers, { moving = false } = {}) {
    this.#known.set(entry.name, entry);
    const { steer } = this.stage.recipe;
    const there = steer.findIndex(({ direction }) => direction === entry.name);
    if (there < 0 && steer.length >= MOST) return this.stage.say(`At most ${MOST} directions at once; remove one first.`);
    const one = { direction: entry.name, amount, ...(layers ? { layers } : {}) };
    this.stage.set({ steer: there < 0 ? [...steer, one] : steer.map((old, k) => (k === there ? { ...old, amount } : old)) }, { moving });
  }

  /** Use another name for a direction, or with null leave it out. */
  renamed(old, name) {
    const { steer } = this.stage.recipe;
    if (!steer.some(({ direction }) => direction === old)) return;
    this.stage.set({ steer: steer.flatMap((one) => (one.direction !== old ? [one] : name ? [{ ...one, direction: name }] : [])) });
  }
}

function cards(stage, directions) {
  const list = h("ol", { class: "sources", "aria-label": "Steered" });
  const empty = h("p", { class: "empty" }, "Nothing is steered yet. Press a picture below: the stage goes there, and its direction gets a slider here.");
  const keep = button("Keep", { icon: "keep", kind: "brief", label: "Keep", title: "Keep this picture on the shelf", press: () => stage.keep() });
  const zero = button("All to 0", { icon: "reset", kind: "brief", label: "All to 0", title: "Every amount back to 0", press: () => stage.set({ steer: stage.recipe.steer.map((one) => ({ ...one, amount: 0 })) }) });
  const clear = button("Remove all", { icon: "close", kind: "brief", label: "Remove all", title: "Remove all directions", press: () => stage.set({ steer: [] }) });
  const bar = h("div", { class: "row wrap bar" }, h("span", { class: "spring" }), zero, clear, keep);
  let rows = [];
  let shape = "";
  const draw = () => {
    const { steer } = stage.recipe;
    const layers = stage.network?.layers ?? 0;
    // A card belongs to its direction: another order or network makes them anew, another amount does not.
    const now = JSON.stringify([layers, steer.map(({ direction }) => direction)]);
    if (now !== shape) {
      rows = layers ? steer.map((one, index) => card(stage, directions, { index, name: one.direction })) : [];
      list.replaceChildren(...rows.map(({ root }) => root));
    }
    shape = now;
    empty.hidden = steer.length > 0;
    bar.hidden = steer.length === 0;
    clear.hidden = steer.length < 2;
    rows.forEach((row, index) => row.show(steer[index]));
  };
  stage.subscribe(draw);
  directions.subscribe(draw);
  return h("section", { "aria-label": "Steered directions" }, list, empty, bar);
}

function card(stage, directions, { index, name }) {
  let entry = {};
  const change = (patch, moving = false) => stage.set({ steer: stage.recipe.steer.map((one, k) => (k === index ? { ...one, ...patch } : one)) }, { moving });
  const words = h("span", { class: "hint words" });
  const amount = slider({ label: "Amount", min: -REACH, max: REACH, least: -100, most: 100, step: 0.01, value: 0, oninput: (value, moving) => change({ amount: value }, moving) });
  amount.range.setAttribute("aria-label", `Amount of ${name}`);
  amount.number.setAttribute("aria-label", `Amount of ${name}, typed`);
  const count = stage.network.layers;
  const all = () => new Set(Array.from({ length: count }, (_, layer) => layer));
  const ticks = layerTicks({
    network: stage.network,
    value: all(),
    oninput: (layers) => {
      // Without a layer there is nothing to steer; the last one stays.
      if (layers.size) change({ layers: layers.size === count ? undefined : layersText(layers) });
      else ticks.show(layersOf(entry, count));
    },
  });
  const within = () => {
    const [, , , first, last] = BUILT_IN.exec(name) ?? [];
    return directions.get(name)?.layers ?? (first ? `${first}-${last}` : null);
  };
  const back = button("", { icon: "reset", kind: "icon reset", label: `Reset layers of ${name}`, press: () => change({ layers: within() ?? undefined }) });
  ticks.root.querySelector(".words").append(back);
  const title = h("span", { class: "label name" }, name);
  const root = h(
    "li",
    { class: "source steered" },
    h(
      "div",
      { class: "source-body" },
      h("div", { class: "row" }, title, words, h("span", { class: "spring" }), button("", { icon: "close", kind: "icon", label: `Remove ${name}`, title: "Remove", press: () => stage.set({ steer: stage.recipe.steer.filter((_, k) => k !== index) }) })),
      amount.root,
      ticks.root,
    ),
  );
  const show = (next) => {
    entry = next;
    words.textContent = directions.get(name)?.words ?? "";
    amount.show(next.amount ?? 1, document.activeElement);
    ticks.show(layersOf(next, count));
    back.disabled = (next.layers ?? null) === within();
    back.title = `Back to ${within() ? `layers ${within()}` : "all layers"}`;
  };
  return { root, show };
}

/** On another network: what is kept beside this one is left out, and layers that are not there. */
function leaveElsewhere(stage) {
  let last = null;
  stage.subscribe((recipe, network) => {
    const [before, now] = [last, network && `${network.name} ${network.sha}`];
    last = now ?? last;
    if (!before || !now || before === now || before.split(" ")[0] === network.name || !recipe.steer.length) return;
    const steer = steerable(recipe.steer, network);
    if (!same(steer, recipe.steer)) queueMicrotask(() => stage.set({ steer }));
  });
}
