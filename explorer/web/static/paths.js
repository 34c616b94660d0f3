// Walks as recipes: the same frames that the command `interpolate` makes. Pure functions.

import { full } from "./recipe.js";

const SHARED = ["label", "psi", "cutoff", "noise", "mix", "steer"];
export const MOST_FRAMES = 5000;

/** The frames of a walk as [from, to, t]: (K-1) S + 1 of them, K S when it closes to a loop. */
export function path(points, steps, loop) {
  const frames = [];
  for (let k = 0; k < (loop ? points : points - 1); k++) {
    for (let step = 0; step < steps; step++) frames.push([k, (k + 1) % points, step / steps]);
  }
  if (!loop) frames.push([points - 2, points - 1, 1]);
  return frames;
}

/** `smooth` rests at both ends. */
export function eased(t, how) {
  return how === "smooth" ? t * t * (3 - 2 * t) : t;
}

/** How many frames a walk has. */
export function frameCount({ recipes, steps, loop }) {
  return loop ? recipes.length * steps : (recipes.length - 1) * steps + 1;
}

/** Frame `index` of a walk {recipes, steps, loop, ease, space} as a whole recipe. */
export function frameOf({ recipes, steps, loop, ease, space }, index) {
  const last = frameCount({ recipes, steps, loop }) - 1;
  const stretch = !loop && index >= last ? recipes.length - 2 : Math.floor(index / steps);
  const t = !loop && index >= last ? 1 : (index % steps) / steps;
  return between(recipes[stretch], recipes[(stretch + 1) % recipes.length], eased(t, ease), space);
}

/** The recipe the share `t` of the way from `a` to `b`; throws a sentence for what has no place in space z. */
export function between(a, b, t, space = "w") {
  [a, b] = [full(a), full(b)];
  if (space === "z") {
    if ([a, b].some((one) => one.point || one.toward || one.blend.length)) throw new Error("Only plain seeds have a z; walk in w instead.");
    if (t === 0) return a;
    return full(t === 1 ? { ...a, seed: b.seed } : { ...a, toward: { seed: b.seed, t, space: "z" } });
  }
  if (t === 0) return a;
  if (t === 1) return b;
  if (isPlain(a) && isPlain(b)) return full({ ...a, toward: { ...named(b), t, space: "w" } });
  return blended([[1 - t, a], [t, b]]);
}

/** A weighted sum of recipes as one flat blend; weights are added up where the same picture comes twice. */
export function blended(weighted) {
  const parts = weighted.flatMap(([share, recipe]) => pictures(full(recipe)).map(([weight, one]) => [share * weight, one]));
  const first = parts[0][1];
  const base = full({ checkpoint: first.checkpoint, grown: first.grown });
  const blend = parts.map(([weight, one]) => {
    const entry = named(one);
    for (const key of SHARED) if (JSON.stringify(entry[key]) === JSON.stringify(base[key])) delete entry[key];
    return { ...entry, weight };
  });
  return full({ ...base, blend });
}

function isPlain(recipe) {
  return !recipe.toward && !recipe.blend.length;
}

function named(recipe) {
  const which = recipe.point ? { point: recipe.point } : { seed: recipe.seed };
  return { ...which, ...Object.fromEntries(SHARED.map((key) => [key, recipe[key]])) };
}

function pictures(recipe) {
  const inner = (entry) => {
    const { t, space, weight, ...given } = entry;
    const point = "seed" in given && !("point" in given) ? { point: null } : {};
    return full({ ...recipe, toward: null, blend: [], ...point, ...given });
  };
  if (recipe.blend.length) return recipe.blend.map((entry) => [entry.weight, inner(entry)]);
  if (!recipe.toward) return [[1, recipe]];
  const { t, space } = recipe.toward;
  if (space === "z" && t > 0 && t < 1) throw new Error("A picture between seeds in z cannot be an end of another walk; keep one of its ends.");
  const end = space === "z" ? full({ ...recipe, toward: null, seed: recipe.toward.seed }) : inner(recipe.toward);
  const start = full({ ...recipe, toward: null });
  return t === 0 ? [[1, start]] : t === 1 ? [[1, end]] : [[1 - t, start], [t, end]];
}

/** Weights of the four corners for steps x steps cells, by rows. */
export function corners(steps) {
  const places = Array.from({ length: steps }, (_, k) => (steps > 1 ? k / (steps - 1) : 0));
  return places.flatMap((y) => places.map((x) => [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]));
}

/** The recipe of one cell of the sheet between four recipes. */
export function cornerOf(recipes, weights) {
  const used = recipes.map((recipe, k) => [weights[k], recipe]).filter(([weight]) => weight !== 0);
  return used.length === 1 ? full(used[0][1]) : blended(used);
}
