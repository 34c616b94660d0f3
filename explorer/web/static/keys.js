// Keys, where nothing else has the focus: seed, truncation, play, and the list of them.

import { goTo } from "./controls.js";
import { wrapSeed } from "./recipe.js";

const PSI_STEP = 0.05;

export function mountKeys(stage) {
  const list = document.getElementById("keys-list");
  const seed = (step) => stage.set(goTo(wrapSeed(stage.recipe.seed + step)), { moving: true });
  const psi = (step) => stage.set({ psi: Math.round(100 * Math.min(5, Math.max(-5, stage.recipe.psi + step))) / 100 }, { moving: true });
  const keys = {
    ArrowLeft: () => seed(-1),
    ArrowRight: () => seed(1),
    ArrowUp: () => psi(PSI_STEP),
    ArrowDown: () => psi(-PSI_STEP),
    " ": () => stage.play(),
    "?": () => list.showModal(),
  };
  addEventListener("keydown", (event) => {
    const free = [document.body, document.documentElement, document.getElementById("stage"), null].includes(document.activeElement);
    if (!free || event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  return () => list.showModal();
}
