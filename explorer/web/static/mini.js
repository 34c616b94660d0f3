// The stage once more, small and in the corner, where a narrow page has scrolled the stage itself out of sight.

import { h } from "./panel_kit.js";

const SIDE = 112; // pixels, the longer side

export function mountMini(stage) {
  const view = document.getElementById("stage-view");
  const canvas = h("canvas", {});
  const back = () => view.scrollIntoView({ block: "start", behavior: "smooth" });
  const root = h("button", { id: "stage-mini", type: "button", hidden: true, title: "Back to the stage", "aria-label": "Back to the stage", onclick: back }, canvas);
  document.getElementById("stage-box").append(root);
  const draw = () => {
    const whole = stage.view.canvas;
    if (root.hidden || !whole.dataset.recipe) return;
    const scale = (SIDE * (devicePixelRatio || 1)) / Math.max(whole.width, whole.height);
    [canvas.width, canvas.height] = [Math.round(whole.width * scale), Math.round(whole.height * scale)];
    canvas.style.aspectRatio = `${whole.width} / ${whole.height}`;
    const context = canvas.getContext("2d", { alpha: false });
    context.imageSmoothingEnabled = scale < 1;
    context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  };
  new IntersectionObserver(([{ isIntersecting, boundingClientRect }]) => {
    root.hidden = isIntersecting || boundingClientRect.top > 0;
    draw();
  }).observe(view);
  document.addEventListener("drawn", draw);
}
