// What this network is: the facts of its file, its model card, and the words people ask about.

import { asked } from "./asking.js";
import { architectureOf, button, copyText, h, place, sides } from "./panel_kit.js";

const WORDS = [
  ["z and w", "z is what is drawn: a list of normal numbers that a seed fixes, the same in every tool of the field.", "w is z after the mapping network, the style that the layers read; moving straight in w changes a picture smoothly, and layers can be given different ones."],
  ["Truncation (psi)", "It draws w towards the average picture: 0 is the average itself, 1 is as trained.", "Lower values give safer, more alike pictures, higher ones rarer and stranger pictures; neither says how common something is in the data."],
  ["Layers", "Layer 0 works at the fewest pixels and sets shape and pose; the last ones set texture and brightness.", "Coarse, middle and fine are thirds of them by custom, not something a network promises."],
];
const GROWTH = ["Size and alpha", "Such a network learned small pictures first, then ever larger ones; alpha is how far a new size was blended in.", "A smaller size is drawn by its own last layer, which learned nothing once the network had grown past it: it may look harsh, and it is not what the training showed at the time."];
const CAUTION = "Every picture here is synthetic: it shows nobody, and what it shows may not exist in any body. It is not for diagnosis, and what a network does not show was not shown to be absent from its data.";

export function mount(stage) {
  place("about-panel", (root) => {
    const facts = h("section", { class: "facts", "aria-label": "Facts" });
    const card = h("section", { class: "card", "aria-label": "Model card" });
    const growth = [h("dt", {}, GROWTH[0]), h("dd", {}, GROWTH.slice(1).join(" "))];
    root.append(h("p", { class: "caution" }, CAUTION), facts, card, words(growth));
    let shown = null;
    let failed = false;
    const look = async () => {
      const { network } = stage;
      const key = network && `${network.name} ${network.sha}`;
      if (!network || key === shown) return;
      shown = key;
      failed = false;
      for (const part of growth) part.hidden = !network.grows;
      let about;
      try {
        about = await asked(`about?${new URLSearchParams({ checkpoint: network.name })}`);
      } catch (wrong) {
        if (shown !== key) return;
        failed = true;
        facts.replaceChildren(h("p", { class: "wrong" }, wrong.message));
        card.replaceChildren();
        card.hidden = true;
        return;
      }
      if (shown !== key) return;
      facts.replaceChildren(h("h3", {}, about.name), table(rows(about, network)), ...command(about));
      // The server has rendered the card with all HTML in it shown as text.
      card.replaceChildren(cardOf(about.card ?? ""));
      card.hidden = !about.card;
    };
    stage.subscribe(look);
    // What failed is asked for again once the explorer draws.
    document.addEventListener("drawn", ({ detail }) => {
      if (!detail.exact || !failed) return;
      shown = null;
      look();
    });
  });
}

/** The card's elements, its pictures asked for beside the page, as a proxy may have put a path before them. */
function cardOf(html) {
  const made = h("template", {});
  made.innerHTML = html;
  for (const picture of made.content.querySelectorAll("img[src^='/']")) picture.setAttribute("src", picture.getAttribute("src").slice(1));
  return made.content;
}

function rows(about, network) {
  const { training, config } = about;
  const [height, width] = sides(network);
  const whole = Array.isArray(config.size) ? config.size : null;
  const margin = whole && (whole[0] !== height || whole[1] !== width) ? `, cut from ${whole[0]} × ${whole[1]}` : "";
  return [
    ["Architecture", architectureOf(network)],
    ["Pictures", `${height} × ${width} pixels, ${network.channels === 1 ? "gray" : "RGB"}${margin}`],
    ["Black to white", about.levels],
    ["Grown through", network.grows ? network.sizes.map((size) => size.join(" × ")).join(", ") : null],
    ["Layers", `${network.layers}, w of ${config.w_dim ?? "?"} numbers, z of ${config.z_dim ?? "?"}`],
    ["Classes", network.class_names ? `${network.classes}: ${network.class_names.join(", ")}` : network.classes || null],
    ["Images seen", training.images_seen == null ? null : Number(training.images_seen).toLocaleString("en")],
    ["Trained for", training.hours == null ? null : hours(training.hours)],
    ["On", training.device],
    ["Data", training.data],
    ["Credit", about.credit],
    ["Came from", provenance(about.provenance)],
    ["Commit", training.commit],
    ["PyTorch", training.torch],
    ["File", `${about.file}, ${(about.bytes / 1e6).toFixed(1)} MB`],
    ["SHA-256", `${about.sha}…`],
  ];
}

/** Where a network of another program came from, and what had to be estimated. */
function provenance({ source, format, notes } = {}) {
  return source ? `${source} (${format})${[].concat(notes ?? []).map((note) => `; ${note}`).join("")}` : null;
}

function hours(value) {
  return value < 1 ? `${Math.max(1, Math.round(60 * value))} minutes` : `${Number(value).toFixed(1)} hours`;
}

function table(rows) {
  return h("dl", {}, rows.filter(([, value]) => value != null && value !== "").flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value).replaceAll(" × ", "\u00a0×\u00a0"))]));
}

function command({ training }) {
  const line = Array.isArray(training.command) ? training.command.join(" ") : training.command;
  if (!line) return [];
  const code = h("code", {}, line);
  const copy = button("Copy", { title: "Copy the command", press: () => copyText(copy, code) });
  return [h("div", { class: "row" }, h("span", { class: "label" }, "Trained by"), h("span", { class: "spring" }), copy), h("pre", {}, code)];
}

function words(growth) {
  const list = h("dl", { class: "words" }, WORDS.flatMap(([name, ...sentences]) => [h("dt", {}, name), h("dd", {}, sentences.join(" "))]), growth);
  const keys = button("Keys", { press: () => document.getElementById("keys-list")?.showModal(), title: "The list of keys (?)" });
  return h("section", { class: "ruled", "aria-label": "Words" }, h("h3", {}, "Words"), list, h("div", { class: "row" }, keys));
}
