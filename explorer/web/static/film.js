// Taking the last walk or timeline home: the server films it as a job of its own at low priority; progress and Cancel stand under the stage.

import { JobBox } from "./panel_jobs.js";
import { h } from "./panel_kit.js";
import { full, short } from "./recipe.js";
import { told } from "./timeline_model.js";

export const FORMATS = [["gif", "GIF"], ["webp", "WebP"], ["mp4", "MP4"], ["png", "PNG frames"]];
const SCALES = [1, 2, 3, 4, 6, 8];
let box = null;

/** A menu of how large a film's pixels are; what is chosen holds for every film of the page, and each menu shows it. */
export function scaleMenu(stage) {
  const menu = h("select", { class: "scale", "aria-label": "Film size", title: "How often each pixel is repeated, unsmoothed: 2× is twice as wide and high" }, SCALES.map((scale) => h("option", { value: scale }, `Size ${scale}×`)));
  const show = () => (menu.value = stage.filmScale);
  menu.addEventListener("change", () => {
    stage.filmScale = Number(menu.value);
    document.dispatchEvent(new CustomEvent("film-scale"));
  });
  document.addEventListener("film-scale", show);
  show();
  return menu;
}

/** Film stage.walk as "gif", "webp", "mp4" or "png" (frames in a zip) and download it. */
export function saveWalk(stage, format) {
  if (!stage.walk) {
    stage.say("There is no walk yet: make one in the Interpolate tab or on the timeline first.");
    return Promise.resolve();
  }
  if (!box) {
    box = new JobBox(stage);
    document.getElementById("stage-job").append(box.root);
  }
  return box.run(filmOf(stage, stage.walk, format), { words: `Saving the walk as ${format === "png" ? "PNG frames" : format}` });
}

/** The job that films a walk or a timeline. */
export function filmOf(stage, walk, format) {
  const { recipes, steps, loop, ease, space, fps, keys } = walk;
  const checkpoint = (keys ? keys[0].recipe : recipes[0]).checkpoint ?? stage.recipe.checkpoint;
  const film = { verb: "interpolate", format, scale: stage.filmScale, checkpoint };
  if (keys) return { ...film, timeline: told(walk) };
  return { ...film, recipes: recipes.map((recipe) => short(full(recipe))), steps, loop, ease, space, fps };
}
