// The control row: seed, truncation, noise, class. Each shows the recipe and changes it; the server says what is allowed.

import { DEFAULTS, SEEDS, fixed, place, wrapSeed } from "./recipe.js";

const SPAN = 1000; // seeds that the slider reaches
const DICE = 1_000_000; // seeds that people can still read aloud

const find = (id) => document.getElementById(id);

export function mountControls(stage) {
  mountSeed(stage);
  mountPsi(stage);
  mountNoise(stage);
  mountLabel(stage);
  for (const button of document.querySelectorAll("#controls [data-reset]")) {
    const key = button.dataset.reset;
    button.addEventListener("click", () => stage.set(key === "seed" ? goTo(DEFAULTS.seed) : { [key]: DEFAULTS[key] }));
    stage.subscribe((recipe) => {
      button.disabled = key === "seed" ? atSeed(recipe, DEFAULTS.seed) : recipe[key] === DEFAULTS[key];
    });
  }
}

/** The change that leads to one seed, away from any walk or blend. */
export function goTo(seed) {
  return { seed, point: null, blend: [], toward: null };
}

export function rollDice() {
  return Math.floor(Math.random() * DICE);
}

function atSeed(recipe, seed) {
  return recipe.seed === seed && !recipe.blend.length && !recipe.toward && !recipe.point;
}

/** Live while it moves, exact once it is let go. */
function live(element, read, change) {
  const send = (moving) => {
    const value = read(element);
    if (value !== null) change(value, moving);
  };
  element.addEventListener("input", () => send(true));
  element.addEventListener("change", () => send(false));
}

function numberOf(element) {
  return element.value === "" || element.validity.badInput ? null : element.valueAsNumber;
}

/** Write a value without disturbing somebody who is typing it. */
function write(element, text) {
  if (document.activeElement === element && Number(element.value) === Number(text)) return;
  if (element.value !== text) element.value = text;
}

function mountSeed(stage) {
  const [slider, number] = [find("seed"), find("seed-number")];
  const change = (seed, moving) => stage.set(goTo(seed), { moving });
  live(slider, numberOf, change);
  live(number, numberOf, change);
  for (const button of document.querySelectorAll("#controls [data-step]")) {
    button.addEventListener("click", () => change(wrapSeed(stage.recipe.seed + Number(button.dataset.step)), false));
  }
  find("dice").addEventListener("click", () => change(rollDice(), false));
  stage.subscribe((recipe) => {
    const [low, high] = [Number(slider.min), Number(slider.max)];
    if ((recipe.seed < low || recipe.seed > high) && recipe.seed >= 0 && recipe.seed < SEEDS) {
      const first = Math.min(SEEDS - SPAN, Math.max(0, recipe.seed - SPAN / 2));
      [slider.min, slider.max] = [first, first + SPAN - 1];
    }
    write(slider, String(recipe.seed));
    write(number, String(recipe.seed));
    find("seed-range").textContent = `${slider.min} to ${slider.max}`;
    find("seed-hint").textContent = atSeed(recipe, recipe.seed) ? "Drag the picture to walk between seeds." : `Now ${place(recipe)}.`;
    fill(slider);
  });
}

function mountPsi(stage) {
  const [slider, number] = [find("psi"), find("psi-number")];
  for (const element of [slider, number]) live(element, numberOf, (psi, moving) => stage.set({ psi }, { moving }));
  stage.subscribe((recipe) => {
    write(slider, String(recipe.psi));
    write(number, Number.isInteger(recipe.psi * 100) ? fixed(recipe.psi) : String(recipe.psi));
    fill(slider);
  });
}

/** The part of a slider's track left of its thumb, for the style sheet. */
function fill(slider) {
  const share = (slider.value - slider.min) / (slider.max - slider.min);
  slider.style.setProperty("--fill", `${100 * share}%`);
}

function mountNoise(stage) {
  const [select, number] = [find("noise"), find("noise-number")];
  select.addEventListener("change", () => {
    const noise = select.value === "number" ? Math.max(0, numberOf(number) ?? 0) : select.value;
    stage.set({ noise });
  });
  live(number, numberOf, (noise, moving) => stage.set({ noise }, { moving }));
  stage.subscribe((recipe) => {
    const numbered = typeof recipe.noise === "number";
    select.value = numbered ? "number" : recipe.noise;
    number.hidden = !numbered;
    if (numbered) write(number, String(recipe.noise));
  });
}

function mountLabel(stage) {
  const [box, select] = [find("control-label"), find("label")];
  select.addEventListener("change", () => stage.set({ label: Number(select.value) || null }));
  stage.subscribe((recipe, network) => {
    const classes = network?.classes ?? 0;
    box.hidden = classes === 0;
    if (select.length !== classes) {
      select.replaceChildren(...Array.from({ length: classes }, (_, label) => new Option(String(label), String(label))));
    }
    select.value = String(recipe.label ?? 0);
  });
}
