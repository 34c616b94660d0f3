// The way in: wait until Gradio has built the page, then open the stage and each panel.

import { openStage } from "./stage.js";
import { mountTheme } from "./theme.js";

const PARTS = ["masthead", "stage-box", "controls", "shelf"];

/** Resolve once every element with these ids is in the page. */
function present(ids) {
  return new Promise((resolve) => {
    const all = () => ids.every((id) => document.getElementById(id));
    if (all()) return resolve();
    const watch = new MutationObserver(() => {
      if (!all()) return;
      watch.disconnect();
      resolve();
    });
    watch.observe(document.documentElement, { childList: true, subtree: true });
  });
}

/** Gradio builds a tab when it is first opened; what a panel takes from elsewhere before that, it announces. */
async function openPanel(name) {
  const panel = await import(`/static/panel_${name}.js`);
  panel.announce?.(window.stage);
  await present([`panel_${name}`]);
  panel.mount(window.stage);
}

await present(PARTS);
mountTheme();
const facts = JSON.parse(document.getElementById("masthead").dataset.facts);
const opened = openStage(facts);
for (const name of facts.panels) {
  openPanel(name).catch((wrong) => console.error(`The panel ${name} did not open:`, wrong));
}
await opened;
