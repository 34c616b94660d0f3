// The control row: seed, truncation, noise, class, and growth.js. Each shows the recipe and changes it; the server says what is allowed.

import { NumberField, adorn, nameGroup } from "./fields.js";
import { mountGrowth } from "./growth.js";
import { className } from "./panel_kit.js";
import { DEFAULTS, SEEDS, fixed, place, wrapSeed } from "./recipe.js";

const SPAN = 1000; // seeds that the slider reaches
const DICE = 1_000_000; // seeds that people can still read aloud
const PSI = [0, 1.2]; // truncations that the slider reaches

const find = (id) => document.getElementById(id);

export function mountControls(stage) {
  nameGroup("controls", "Controls", "region");
  mountSeed(stage);
  mountPsi(stage);
  mountNoise(stage);
  mountLabel(stage);
  mountGrowth(stage);
}

/** The change that leads to one seed, away from any walk or blend. */
export function goTo(seed) {
  return { seed, point: null, blend: [], toward: null };
}

function rollDice() {
  return Math.floor(Math.random() * DICE);
}

function atSeed(recipe, seed) {
  return recipe.seed === seed && !recipe.blend.length && !recipe.toward && !recipe.point;
}

function mountSeed(stage) {
  nameGroup("control-seed", "Seed");
  const change = (seed, moving) => stage.set(goTo(seed), { moving });
  const field = new NumberField("seed", { name: "Seed", change, reset: () => change(DEFAULTS.seed, false) });
  field.back.title = `Back to ${DEFAULTS.seed}`;
  field.reach(0, SPAN - 1);
  const step = (by) => () => change(wrapSeed(stage.recipe.seed + by), false);
  adorn("seed-previous", "left", { title: "Previous seed (left arrow)" }).addEventListener("click", step(-1));
  adorn("seed-next", "right", { title: "Next seed (right arrow)" }).addEventListener("click", step(1));
  adorn("dice", "dice", { title: "Any seed" }).addEventListener("click", () => change(rollDice(), false));
  const reach = field.root.querySelector(".min_value");
  stage.subscribe((recipe) => {
    const { seed } = recipe;
    if ((seed < field.min || seed > field.max) && seed >= 0 && seed < SEEDS) {
      const first = Math.min(SEEDS - SPAN, Math.max(0, seed - SPAN / 2));
      field.reach(first, first + SPAN - 1);
    }
    field.write(seed);
    field.back.disabled = atSeed(recipe, DEFAULTS.seed);
    reach.textContent = `${field.min} to ${field.max}`;
    find("seed-hint").textContent = atSeed(recipe, seed) ? "Drag the picture to walk between seeds." : `Now ${place(recipe)}.`;
  });
}

function mountPsi(stage) {
  nameGroup("control-psi", "Truncation");
  const field = new NumberField("psi", {
    name: "Truncation",
    change: (psi, moving) => stage.set({ psi }, { moving }),
    reset: () => stage.set({ psi: DEFAULTS.psi }),
    spell: (psi) => (Number.isInteger(Math.round(psi * 1e6) / 1e4) ? fixed(psi) : String(psi)),
  });
  field.reach(...PSI);
  field.back.title = `Back to ${DEFAULTS.psi}`;
  field.number.title = "Type −5 to 5";
  for (const element of [field.range, field.number]) element.setAttribute("aria-describedby", "psi-hint");
  stage.subscribe(({ psi }) => {
    field.write(psi);
    field.back.disabled = psi === DEFAULTS.psi;
  });
}

/** A reset that is a button of its own, where the component brings none. */
function mountReset(stage, key, title) {
  const button = adorn(`${key}-reset`, "reset", { title });
  button.addEventListener("click", () => stage.set({ [key]: DEFAULTS[key] }));
  stage.subscribe((recipe) => (button.disabled = recipe[key] === DEFAULTS[key]));
}

function mountNoise(stage) {
  nameGroup("control-noise", "Noise");
  const change = (noise, moving) => stage.set({ noise }, { moving });
  const field = new NumberField("noise-number", { name: "Noise number", change });
  stage.menus.mount("noise", (word) => change(word === "number" ? Math.max(0, field.number.valueAsNumber || 0) : word, false));
  mountReset(stage, "noise", "Back to the network's own");
  stage.subscribe(({ noise }) => {
    const numbered = typeof noise === "number";
    stage.menus.show("noise", { value: numbered ? "number" : noise });
    field.root.hidden = !numbered;
    if (numbered) field.write(noise);
  });
}

function mountLabel(stage) {
  const box = nameGroup("control-label", "Class");
  stage.menus.mount("label", (label) => stage.set({ label: Number(label) || null }));
  mountReset(stage, "label", "Back to class 0");
  stage.subscribe((recipe, network) => {
    const classes = network?.classes ?? 0;
    box.hidden = classes === 0;
    const choices = Array.from({ length: classes }, (_, label) => [className(network, label, ""), String(label)]);
    if (classes) stage.menus.show("label", { choices, value: String(recipe.label ?? 0) });
  });
}
