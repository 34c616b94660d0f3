// Size and alpha of a network that grows: what it showed at each size it grew through, and the growing itself, played.

import { NumberField, adorn, nameGroup } from "./fields.js";
import { h } from "./panel_kit.js";
import { fixed, same } from "./recipe.js";

const FADE = 1; // seconds in which a size fades in
const STAY = 0.6; // seconds that it then stays

const words = (size) => size.join(" × ");

/** What is shown when a recipe says nothing: what the file says, or the full size. */
function byItself({ grown, sizes }) {
  return grown ?? { size: sizes.at(-1), alpha: 1 };
}

/** The change of a recipe to a size and an alpha; the smallest size has nothing to blend with. */
function grownTo(network, size, alpha) {
  const grown = { size, alpha: same(size, network.sizes[0]) ? 1 : alpha };
  return { grown: same(grown, byItself(network)) ? null : grown };
}

export function mountGrowth(stage) {
  const box = nameGroup("control-growth", "Growth");
  nameGroup("control-size", "Size");
  nameGroup("control-alpha", "Alpha");
  const now = () => ({ alpha: 1, ...(stage.recipe.grown ?? byItself(stage.network)) });
  const change = (size, alpha, moving = false) => stage.set(grownTo(stage.network, size, alpha), { moving });
  stage.menus.mount("size", (word) => change(stage.network.sizes.find((size) => words(size) === word), now().alpha));
  const back = adorn("size-reset", "reset");
  back.addEventListener("click", () => change(byItself(stage.network).size, now().alpha));
  const alphaOf = (size) => (same(size, byItself(stage.network).size) ? byItself(stage.network).alpha : 1);
  const field = new NumberField("alpha", {
    name: "Alpha",
    change: (alpha, moving) => change(now().size, alpha, moving),
    reset: () => change(now().size, alphaOf(now().size)),
    spell: (alpha) => (Number.isInteger(Math.round(alpha * 1e6) / 1e4) ? fixed(alpha) : String(alpha)),
  });
  for (const element of [field.range, field.number]) element.setAttribute("aria-describedby", "alpha-hint");
  const hint = document.getElementById("alpha-hint");
  const seen = h("span", { class: "hint", id: "size-shown", hidden: true });
  document.getElementById("control-size").append(seen);
  // Sizes are the network's; what is seen of one is smaller where its margin is cut off.
  document.addEventListener("drawn", ({ target }) => {
    const shown = [target.height, target.width];
    seen.hidden = !stage.network?.grows || same(shown, now().size);
    seen.textContent = `shown: ${words(shown)}`;
  });
  const play = adorn("grow", "play", { title: "Play how it grew, from the first size to the finished picture" });
  play.addEventListener("click", () => {
    if (stage.player.what === "growth") stage.player.stop();
    else stage.player.start(growthOf(stage.network), "growth");
  });
  stage.subscribe((recipe, network) => {
    const growing = Boolean(network?.grows) && network.sizes.length > 1;
    box.hidden = !growing;
    back.disabled = field.back.disabled = true;
    if (!growing) return;
    const { size, alpha } = now();
    const level = network.sizes.findIndex((one) => same(one, size));
    stage.menus.show("size", { choices: network.sizes.map(words), value: words(size) });
    back.disabled = same(size, byItself(network).size);
    back.title = `Back to ${words(byItself(network).size)}`;
    field.write(alpha);
    field.back.disabled = alpha === alphaOf(size) || level === 0;
    field.back.title = `Back to ${alphaOf(size)}`;
    field.range.disabled = field.number.disabled = level === 0;
    hint.textContent = level > 0 ? `0 is ${words(network.sizes[level - 1])} enlarged, 1 is ${words(size)}.` : "The first size has nothing to blend with.";
    const playing = stage.player.what === "growth";
    play.setAttribute("aria-pressed", String(playing));
    play.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
  });
}

/** Growing as something to be played: seconds -> {recipe, done}. */
function growthOf(network) {
  const { sizes } = network;
  return (seconds) => {
    const since = Math.max(0, seconds - STAY);
    const level = Math.min(sizes.length - 1, seconds < STAY ? 0 : 1 + Math.floor(since / (FADE + STAY)));
    const share = level ? Math.min(1, (since - (level - 1) * (FADE + STAY)) / FADE) : 1;
    const alpha = Math.round(100 * share) / 100;
    return { recipe: grownTo(network, sizes[level], alpha), done: level === sizes.length - 1 && share === 1 };
  };
}
