// The sheet between four corners: weights linear in w, every cell a picture to click.

import { nameGroup, textField, wholeField } from "./fields.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, likeStage, onlySeed, parseSeeds, rested, Thumbs, whenSeen } from "./panel_kit.js";
import { cornerOf, corners } from "./paths.js";

export const CORNERS_PARTS = ["#corner-seeds input", "#corner-cells [type=range]", "#corners-rest"];
const NAMES = ["top left", "top right", "bottom left", "bottom right"];

export function mountCorners(stage) {
  const thumbs = new Thumbs(stage, { size: 112 });
  const job = new JobBox(stage);
  const grid = h("div", { class: "matrix sheet", role: "group", "aria-label": "Sheet between four corners" });
  let [seeds, steps, cells, seen] = [[3, 9, 27, 41], 5, [], false];
  const redraw = () => {
    if (!seen || !stage.network) return;
    const weights = corners(steps);
    grid.style.setProperty("--columns", steps);
    cells.splice(weights.length).forEach((cell) => thumbs.drop(cell));
    while (cells.length < weights.length) {
      cells.push(thumbs.make({ label: "cell", press: (recipe) => stage.show(recipe), kind: "thumb cell" }));
      grid.append(cells.at(-1));
    }
    const recipes = seeds.map((seed) => onlySeed(stage.recipe, seed));
    cells.forEach((cell, k) => {
      const words = wordsOf(seeds, weights[k]) ?? `row ${Math.floor(k / steps) + 1}, column ${(k % steps) + 1}`;
      cell.setAttribute("aria-label", words);
      cell.title = `To the stage: ${words}`;
      thumbs.set(cell, cornerOf(recipes, weights[k]));
    });
  };
  const later = rested(redraw, 150);
  textField("corner-seeds", {
    name: "Corner seeds",
    hint: "Top left, top right, bottom left, bottom right.",
    read: (text) => {
      const next = parseSeeds(text, { most: 4 });
      if (next.length !== 4) throw new Error(`A sheet has four corners; these are ${next.length}`);
      seeds = next;
      later();
    },
  });
  wholeField("corner-cells", { name: "Cells a side", reach: [2, 12], most: 40, start: steps, change: (value) => ((steps = value), later()) });
  const save = button("Save PNG", {
    icon: "save",
    press: () => job.run({ verb: "bilinear", seeds: seeds.join(","), steps, ...likeStage(stage.recipe) }, { words: `Drawing ${steps * steps} cells` }),
  });
  const settled = rested(redraw, 400);
  stage.subscribe(() => settled());
  const root = nameGroup("corners", "Four corners", "region");
  document.getElementById("corners-rest").append(
    h("div", { class: "scroller" }, grid),
    h("div", { class: "row wrap" }, h("p", { class: "hint" }, "Click a cell to bring it to the stage."), h("span", { class: "spring" }), save),
    job.root,
  );
  whenSeen(root, (now) => ((seen = now), redraw()));
}

function wordsOf(seeds, weights) {
  const corner = weights.indexOf(1);
  return corner < 0 ? null : `${NAMES[corner]}, seed ${seeds[corner]}`;
}
