// Taking the last walk home: the server films it as a job of its own at low priority; progress and Cancel stand under the stage.

import { JobBox } from "./panel_jobs.js";
import { full, short } from "./recipe.js";

let box = null;

/** Film stage.walk as "gif", "webp", "mp4" or "png" (frames in a zip) and download it. */
export function saveWalk(stage, format) {
  if (!stage.walk) {
    stage.say("There is no walk yet: make one in the Interpolate tab first.");
    return Promise.resolve();
  }
  if (!box) {
    box = new JobBox(stage);
    document.getElementById("stage-job").append(box.root);
  }
  const { recipes, steps, loop, ease, space, fps } = stage.walk;
  const wish = { verb: "interpolate", recipes: recipes.map((recipe) => short(full(recipe))), steps, loop, ease, space, fps, format };
  return box.run({ ...wish, checkpoint: recipes[0].checkpoint ?? stage.recipe.checkpoint }, { words: `Saving the walk as ${format === "png" ? "PNG frames" : format}` });
}
