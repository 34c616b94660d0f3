// The sheet between four corners: weights linear in w, every cell a picture to click.

import { nameGroup, textField, wholeField } from "./fields.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, likeStage, onlySeed, parseSpots, rested, showClasses, spotText, Thumbs, whenSeen } from "./panel_kit.js";
import { cornerOf, corners } from "./paths.js";
import { full, short } from "./recipe.js";

export const CORNERS_PARTS = ["#corner-seeds input", "#corner-cells [type=range]", "#corners-rest"];
const NAMES = ["top left", "top right", "bottom left", "bottom right"];

export function mountCorners(stage) {
  const thumbs = new Thumbs(stage, { size: 112 });
  const job = new JobBox(stage);
  const grid = h("div", { class: "matrix sheet", role: "group", "aria-label": "Sheet between four corners" });
  let [spots, steps, cells, seen] = [[3, 9, 27, 41].map((seed) => ({ seed })), 5, [], false];
  const recipesOf = () => spots.map(({ seed, label }) => ({ ...onlySeed(stage.recipe, seed), ...(label == null ? {} : { label }) }));
  const redraw = () => {
    if (!seen || !stage.network) return;
    const weights = corners(steps);
    grid.style.setProperty("--columns", steps);
    cells.splice(weights.length).forEach((cell) => thumbs.drop(cell));
    while (cells.length < weights.length) {
      cells.push(thumbs.make({ label: "cell", press: (recipe) => stage.show(recipe), kind: "thumb cell" }));
      grid.append(cells.at(-1));
    }
    const recipes = recipesOf();
    cells.forEach((cell, k) => {
      const words = wordsOf(spots, weights[k]) ?? `row ${Math.floor(k / steps) + 1}, column ${(k % steps) + 1}`;
      cell.setAttribute("aria-label", words);
      cell.title = `To the stage: ${words}`;
      thumbs.set(cell, cornerOf(recipes, weights[k]));
    });
  };
  const later = rested(redraw, 150);
  const field = textField("corner-seeds", {
    name: "Corner seeds",
    hint: "Top left, top right, bottom left, bottom right.",
    read: (text) => {
      const next = parseSpots(text, { most: 4, classes: stage.network?.classes });
      if (next.length !== 4) throw new Error(`A sheet has four corners; these are ${next.length}`);
      spots = next;
      show();
      later();
    },
  });
  const to = (next) => {
    spots = next;
    field.write(spots.map(spotText).join(", "));
    show();
    later();
  };
  const show = () => menus.forEach((menu, k) => showClasses(menu, stage.network, spots[k].label ?? stage.recipe.label ?? 0));
  const menus = NAMES.map((name, k) => {
    const relabel = () => to(spots.map((spot, place) => (place === k ? { ...spot, label: Number(menu.value) } : spot)));
    const menu = h("select", { "aria-label": `Class ${name}`, title: `Class ${name}`, hidden: true, onchange: relabel });
    return menu;
  });
  stage.subscribe((recipe, network) => {
    if (network && spots.some(({ label }) => label >= network.classes)) to(spots.map(({ seed }) => ({ seed })));
    show();
  });
  wholeField("corner-cells", { name: "Cells a side", reach: [2, 12], most: 40, start: steps, change: (value) => ((steps = value), later()) });
  const wish = () => {
    const base = { verb: "bilinear", steps };
    if (spots.every(({ label }) => label == null)) return { ...base, ...likeStage(stage.recipe), seeds: spots.map(spotText).join(",") };
    return { ...base, checkpoint: stage.recipe.checkpoint, recipes: recipesOf().map((one) => short(full(one))) };
  };
  const save = button("Save PNG", {
    icon: "save",
    press: () => job.run(wish(), { words: `Drawing ${steps * steps} cells` }),
  });
  const settled = rested(redraw, 400);
  stage.subscribe(() => settled());
  const root = nameGroup("corners", "Four corners", "region");
  document.getElementById("corners-rest").append(
    h("div", { class: "row wrap corner-classes" }, menus),
    h("div", { class: "scroller" }, grid),
    h("div", { class: "row wrap" }, h("p", { class: "hint" }, "Click a cell to bring it to the stage."), h("span", { class: "spring" }), save),
    job.root,
  );
  whenSeen(root, (now) => ((seen = now), redraw()));
}

function wordsOf(spots, weights) {
  const corner = weights.indexOf(1);
  return corner < 0 ? null : `${NAMES[corner]}, seed ${spotText(spots[corner])}`;
}
