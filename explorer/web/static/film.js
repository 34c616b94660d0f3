// Taking the last walk or timeline home: the server films it as a job of its own at low priority; progress and Cancel stand under the stage.

import { JobBox } from "./panel_jobs.js";
import { full, short } from "./recipe.js";
import { told } from "./timeline_model.js";

export const FORMATS = [["gif", "GIF"], ["webp", "WebP"], ["mp4", "MP4"], ["png", "PNG frames"]];
let box = null;

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
  if (keys) return { verb: "interpolate", timeline: told(walk), format, checkpoint };
  return { verb: "interpolate", recipes: recipes.map((recipe) => short(full(recipe))), steps, loop, ease, space, fps, format, checkpoint };
}
