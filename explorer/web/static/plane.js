// The plane of seeds: sideways the next seed, downwards a thousand further, and in between four corners blended in w.

import { same, wrapSeed } from "./recipe.js";

const ROW = 1000; // seeds from one row of the plane to the next
const CORNERS = [[0, 0], [1, 0], [0, 1], [1, 1]];
const GRAIN = 1e4; // weights are whole multiples of 1/GRAIN^2, so that addresses stay short

/** Where a recipe lies: {seeds: its four corners, x, y in 0..1, bound: it may not leave these corners}. */
export function placeOf(recipe) {
  if (recipe.blend.length === 4 && recipe.blend.every(isPlain)) {
    const seeds = recipe.blend.map((part) => part.seed);
    const [, b, c, d] = recipe.blend.map((part) => part.weight);
    const [x, y] = [clamp(b + d), clamp(c + d)];
    return { seeds, x, y, bound: !same(seeds, corners(seeds[0])) };
  }
  const seed = recipe.blend.length ? recipe.blend[0].seed ?? recipe.seed : recipe.seed;
  return { seeds: corners(seed), x: 0, y: 0, bound: false };
}

/** The change of a recipe that lies (dx, dy) seeds further on the plane than `from`, a placeOf. */
export function walked(from, dx, dy) {
  let [x, y, first] = [from.x + dx, from.y + dy, from.seeds[0]];
  let seeds = from.seeds;
  if (from.bound) {
    [x, y] = [clamp(x), clamp(y)];
  } else {
    const [right, down] = [Math.floor(x), Math.floor(y)];
    first = wrapSeed(first + right + ROW * down);
    [x, y, seeds] = [x - right, y - down, corners(first)];
  }
  return patchAt(seeds, Math.round(x * GRAIN) / GRAIN, Math.round(y * GRAIN) / GRAIN);
}

function patchAt(seeds, x, y) {
  const weights = CORNERS.map(([i, j]) => (i ? x : 1 - x) * (j ? y : 1 - y)).map((weight) => Math.round(weight * GRAIN ** 2) / GRAIN ** 2);
  const nearest = weights.indexOf(Math.max(...weights));
  const seed = seeds[nearest];
  if (weights[nearest] === 1) return { seed, point: null, blend: [], toward: null };
  return { seed, point: null, toward: null, blend: seeds.map((corner, index) => ({ seed: corner, weight: weights[index] })) };
}

function corners(seed) {
  return CORNERS.map(([i, j]) => wrapSeed(seed + i + ROW * j));
}

function isPlain(part) {
  return Number.isInteger(part.seed) && same(Object.keys(part).sort(), ["seed", "weight"]);
}

function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
