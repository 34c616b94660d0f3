// The way in: wait until Gradio has built the page, then open the stage and each panel.
//
// No address that a script asks begins with a slash: it is meant beside the page, before which a proxy may put a path.

import { mountInside } from "./inside.js";
import { mountMini } from "./mini.js";
import { openTab, present } from "./panel_kit.js";
import { mountProbe } from "./probe.js";
import { openStage } from "./stage.js";
import { mountTheme } from "./theme.js";
import { mountTimeline } from "./timeline.js";

// Gradio builds each kind of component when its script has come, in any order.
const PARTS = [
  "#facts", "#network input", "#open", "#open-box", "#link", "#png", "#save", "#save-menu", "#theme", "#stage-box", "#readout", "#shelf", "#menus-sync",
  "#seed input[type=range]", "#seed-previous", "#seed-next", "#dice", "#seed-hint", "#psi input[type=range]", "#psi-hint",
  "#noise input", "#noise-reset", "#noise-number input", "#label input", "#label-reset",
  "#size input", "#size-reset", "#grow", "#alpha input[type=range]", "#alpha-hint",
];

/** The strip of tabs stays in sight while a panel scrolls; each panel is met at its top. */
function mountTabs() {
  const panels = document.getElementById("panels");
  panels.addEventListener("click", ({ target }) => {
    const tab = target.closest("[role=tab]");
    if (!tab) return;
    panels.scrollTop = 0;
    tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

/** The panel that an address asks for, as in ?panel=Map; the page's own links leave it out. */
function openAsked() {
  const asked = new URLSearchParams(location.search).get("panel")?.toLowerCase();
  const titles = [...document.querySelectorAll("#panels [role=tab]")].map((tab) => tab.textContent.trim());
  openTab(titles.find((title) => title.toLowerCase() === asked));
}

const parts = (selectors) => new Promise((resolve) => present(selectors, resolve));

/** Gradio builds a tab when it is first opened; what a panel takes from elsewhere before that, it announces. */
async function openPanel(name) {
  const panel = await import(`./panel_${name}.js`);
  panel.announce?.(window.stage);
  await parts([`#panel_${name}`]);
  panel.mount(window.stage);
}

await parts(PARTS);
mountTheme();
mountTabs();
openAsked();
const facts = JSON.parse(document.getElementById("facts").dataset.facts);
const opened = openStage(facts);
mountTimeline(window.stage);
mountInside(window.stage);
mountMini(window.stage);
mountProbe(window.stage);
for (const name of facts.panels) {
  openPanel(name).catch((wrong) => console.error(`The panel ${name} did not open:`, wrong));
}
await opened;
