// A recipe in the browser: a plain frozen object with every key, and its short spelling with the defaults left out.

export const SEEDS = 2 ** 32;

export const DEFAULTS = freeze({
  checkpoint: null, seed: 0, point: null, label: null, psi: 0.7, cutoff: null, noise: "const",
  mix: [], steer: [], toward: null, blend: [], grown: null,
});

function freeze(value) {
  if (value && typeof value === "object") {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}

/** The recipe with every key, frozen; keys we do not know stay, so that the server can refuse them by name. */
export function full(recipe) {
  const given = Object.fromEntries(Object.entries(recipe).filter(([, value]) => value !== undefined));
  for (const list of ["mix", "steer", "blend"]) if (given[list] === null) delete given[list];
  return freeze(structuredClone({ ...DEFAULTS, ...given }));
}

/** The recipe without what is at its default. */
export function short(recipe) {
  const told = Object.entries(recipe).filter(([key, value]) => !same(value, DEFAULTS[key]));
  return Object.fromEntries(told);
}

/** The recipe with its point `old` called `now` wherever it stands in it; the recipe itself where it stands nowhere. */
export function renamed(recipe, old, now) {
  const called = (one) => (one.point === old ? { ...one, point: now } : one);
  const entry = (one) => one && { ...called(one), ...(one.mix ? { mix: one.mix.map(called) } : {}) };
  const whole = full(recipe);
  const next = { ...entry(whole), toward: entry(whole.toward), blend: whole.blend.map(entry) };
  return same(next, whole) ? recipe : full(next);
}

/** Whether a value from storage has a recipe's shape, so that it can be described; what may be in it, the server says. */
export function isRecipe(value) {
  const isObject = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  const isList = (one) => one == null || (Array.isArray(one) && one.every(isObject));
  if (!isObject(value) || ![value.mix, value.steer, value.blend].every(isList)) return false;
  const { toward, grown } = value;
  return (toward == null || isObject(toward)) && (grown == null || (isObject(grown) && Array.isArray(grown.size)));
}

export function same(one, other) {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** A whole number folded into 0 .. 2^32 - 1. */
export function wrapSeed(seed) {
  return ((Math.round(seed) % SEEDS) + SEEDS) % SEEDS;
}

/** The recipe in a few words, for people who hear the page and for the shelf. */
export function describe(recipe) {
  const words = [recipe.checkpoint ?? "network", place(recipe), `truncation ${fixed(recipe.psi)}`];
  if (recipe.label !== null) words.push(`class ${recipe.label}`);
  if (recipe.noise !== "const") words.push(recipe.noise === "none" ? "no noise" : `noise ${recipe.noise}`);
  if (recipe.grown) words.push(`grown to ${recipe.grown.size.join(" × ")}, alpha ${fixed(recipe.grown.alpha ?? 1)}`);
  if (recipe.mix.length) words.push(`${recipe.mix.length} mixed in`);
  if (recipe.steer.length) words.push(`${recipe.steer.length} steered`);
  return words.join(", ");
}

/** Where it is: a seed, a point, between two pictures, or among several. */
export function place(recipe) {
  if (recipe.blend.length) {
    const seeds = recipe.blend.filter((part) => part.weight).map((part) => part.point ?? part.seed);
    return seeds.length > 4 ? `among ${seeds.length} pictures` : `between seeds ${seeds.join(", ")}`;
  }
  const here = recipe.point ?? `seed ${recipe.seed}`;
  if (!recipe.toward) return here;
  const there = recipe.toward.point ?? recipe.toward.seed ?? recipe.seed;
  return `${here} to ${there}, ${Math.round(100 * recipe.toward.t)} %`;
}

export function fixed(number) {
  return Number.isFinite(number) ? number.toFixed(2) : String(number);
}
