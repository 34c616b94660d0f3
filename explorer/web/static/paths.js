// Walks as recipes: the same frames that the command `interpolate` makes. Pure functions.

import { full, same } from "./recipe.js";

const SHARED = ["label", "psi", "cutoff", "noise", "mix", "steer"];
export const MOST_FRAMES = 5000;

/** How much of the way is behind after the share t of a stretch's time; 0 and 1 stay 0 and 1. */
function eased(t, how) {
  if (how === "smooth") return t * t * (3 - 2 * t);
  if (how === "in") return t * t;
  if (how === "out") return t * (2 - t);
  return how === "hold" ? Number(t >= 1) : t;
}

/** How many frames a walk or timeline has; of a loop without the one that is the first again. */
export function frameCount(walk) {
  const line = timelineOf(walk);
  return placesOf(line).end + (line.loop ? 0 : 1);
}

/** Frame `index` of a walk {recipes, steps, loop, ease, space, fps} or of a timeline as a whole recipe. */
export function frameOf(walk, index) {
  const line = timelineOf(walk);
  const { places, end } = placesOf(line);
  let place = index;
  if (line.loop) {
    place = ((place % end) + end) % end;
    if (place < places[0]) place += end;
  }
  const at = places.filter((one) => one <= place).length - 1;
  if (at < 0 || (at === places.length - 1 && !line.loop)) return full(line.keys[Math.max(at, 0)].recipe);
  const there = placeAt(line, { places, end }, at + 1);
  return within(line, { places, end }, at, (place - places[at]) / (there - places[at]));
}

/** Seconds that a timeline lasts: its `duration`, or what stands for it. */
export function secondsOf({ keys, loop, duration }) {
  const last = keys.at(-1).time;
  if (duration != null) return duration;
  return loop ? last + (last - keys[0].time) / (keys.length - 1) : last;
}

/** A walk as a timeline, whose keys stand `steps` frames apart; a timeline as it is. */
function timelineOf(walk) {
  if (walk.keys) return walk;
  const { recipes, steps, loop, ease, space, fps = 24 } = walk;
  const keys = recipes.map((recipe, index) => ({ recipe, time: (index * steps) / fps, ease }));
  return { fps, loop, spline: "linear", space, keys, duration: loop ? (recipes.length * steps) / fps : null };
}

/** The whole frame that a place is within a millionth of, else the place. */
function snapped(place) {
  const near = Math.floor(place + 0.5);
  return Math.abs(place - near) < 1e-6 ? near : place;
}

/** Where the keys stand, in frames, and the frames of a loop, or the last frame. */
function placesOf(line) {
  return { places: line.keys.map(({ time }) => snapped(time * line.fps)), end: Math.ceil(snapped(secondsOf(line) * line.fps)) };
}

/** Where key `index` stands, of a loop also around its ends. */
function placeAt({ keys }, { places, end }, index) {
  const turns = Math.floor(index / keys.length);
  return places[index - turns * keys.length] + turns * end;
}

/** The recipe the share t of the time of the stretch that begins at key `index`. */
function within(line, spots, index, t) {
  const { keys, loop, spline, space } = line;
  const share = eased(t, keys[index].ease);
  if (share === 0) return full(keys[index].recipe);
  if (spline === "linear") return between(keys[index].recipe, keys[(index + 1) % keys.length].recipe, share, space);
  const around = [index - 1, index, index + 1, index + 2];
  const there = around.map((one) => (loop || (one >= 0 && one < keys.length) ? placeAt(line, spots, one) : null));
  const given = splineWeights(share, there);
  const weights = new Map();
  around.forEach((one, k) => {
    const inside = (one + keys.length) % keys.length;
    if (there[k] !== null) weights.set(inside, (weights.get(inside) ?? 0) + given[k]);
  });
  return blended([...weights].filter(([, weight]) => weight !== 0).map(([one, weight]) => [weight, keys[one].recipe]));
}

/** Weights of four keys at the share u between the second and the third: explorer/timeline.py says which curve that is. */
function splineWeights(u, [before, here, there, after]) {
  const square = u * u;
  const cube = square * u;
  const leaving = cube - 2 * square + u;
  const arriving = cube - square;
  const weights = [0, 2 * cube - 3 * square + 1, 3 * square - 2 * cube, 0];
  const length = there - here;
  const out = before === null ? leaving : leaving * (length / (there - before));
  const back = after === null ? arriving : arriving * (length / (after - here));
  weights[before === null ? 1 : 0] -= out;
  weights[2] += out;
  weights[1] -= back;
  weights[after === null ? 2 : 3] += back;
  return weights;
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
  if (isPlain(a) && isPlain(b)) return full({ ...a, toward: { ...given(b, a), t, space: "w" } });
  return blended([[1 - t, a], [t, b]]);
}

/** A weighted sum of recipes as one flat blend; weights are added up where the same picture comes twice. */
export function blended(weighted) {
  const parts = weighted.flatMap(([share, recipe]) => pictures(full(recipe)).map(([weight, one]) => [share * weight, one]));
  const [, base] = parts[0];
  return full({ ...base, blend: parts.map(([weight, one]) => ({ ...given(one, base), weight })) });
}

function isPlain(recipe) {
  return !recipe.toward && !recipe.blend.length;
}

/** A plain recipe as an entry of `base`: its seed or point, and what else differs, so that the page's controls reach all that agrees. */
function given(recipe, base) {
  const which = recipe.point ? { point: recipe.point } : { seed: recipe.seed };
  const differing = SHARED.filter((key) => !same(recipe[key], base[key]));
  return { ...which, ...Object.fromEntries(differing.map((key) => [key, recipe[key]])) };
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
