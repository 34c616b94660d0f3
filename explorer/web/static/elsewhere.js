// The same picture on another network: what that one does not have (points, layers, classes, a size) is left out.

import { layersText, parseLayers } from "./panel_kit.js";
import { full, same } from "./recipe.js";

/** The name of a direction that every network has. */
export const BUILT_IN = /^(sefa|pca)-(\d{1,4})(?:\.(\d{1,2})-(\d{1,2}))?$/;

/** The layers of a source below `count`; all of them where it names none, none where they cannot be read. */
export function layersOf({ layers }, count) {
  if (layers == null) return new Set(Array.from({ length: count }, (_, layer) => layer));
  try {
    return parseLayers(layers, count);
  } catch (wrong) {
    // The server says on the stage what is wrong with them.
    console.debug(wrong.message);
    return new Set();
  }
}

/** The sources that a network with these layers and classes can take. */
export function fitted(mix, { layers, classes }) {
  return mix.flatMap((source) => {
    const left = layersOf(source, layers);
    const { label, ...plain } = source;
    const own = label != null && label < classes ? source : plain;
    const where = source.layers == null ? {} : { layers: layersText(left) };
    return left.size ? [{ ...own, ...where }] : [];
  });
}

/** A recipe as `network` can show it; points are those of the network that they were found in. */
export function counterpart(recipe, network) {
  if (recipe.checkpoint === network.name) return full(recipe);
  const { toward, blend, grown } = recipe;
  return full({
    ...recipe,
    ...fitting(recipe, network),
    checkpoint: network.name,
    point: null,
    toward: toward && !toward.point ? entry(toward, network) : null,
    // The weights of the others alone do not add up.
    blend: blend.some(({ point }) => point) ? [] : blend.map((one) => entry(one, network)),
    grown: grown && network.grows && network.sizes.some((size) => same(size, grown.size)) ? grown : null,
  });
}

/** Bring `network` to the stage, with what it has of the picture there, at its own size; `words` are told where that is all of it. */
export function goTo(stage, network, words = "") {
  const { recipe } = stage;
  stage.set({ ...counterpart(recipe, network), grown: null });
  const missing = leftOut(recipe, network);
  if (missing) stage.remark(missing);
  else stage.tell(words);
}

/** A sentence on what `network` has not, so that its picture goes without it; "" where nothing is missing. */
export function leftOut(recipe, network) {
  const found = counterpart(recipe, network);
  const lost = (recipe.toward && !found.toward) || recipe.blend.length !== found.blend.length;
  const missing = [
    (recipe.point !== found.point || lost) && "its point",
    recipe.label !== found.label && "the class",
    recipe.cutoff !== found.cutoff && "layers of the cutoff",
    !same(recipe.mix, found.mix) && "parts of the mix",
    !same(recipe.steer, found.steer) && "parts of the steering",
    !same(recipe.grown, found.grown) && "the size",
  ].filter(Boolean);
  return missing.length ? `${network.name} is shown without ${missing.join(" and ")}, which it does not have.` : "";
}

function entry({ checkpoint, grown, ...given }, network) {
  return { ...given, ...fitting(given, network) };
}

/** The steps along directions that a network can take: those every network has, over layers it has. */
export function steerable(steer, { layers }) {
  return steer.flatMap((one) => {
    const found = BUILT_IN.exec(one.direction);
    const left = layersOf(one, layers);
    if (!found || Number(found[4] ?? 0) >= layers || !left.size) return [];
    return [one.layers == null ? one : { ...one, layers: layersText(left) }];
  });
}

function fitting({ label, cutoff, mix, steer }, network) {
  return {
    ...(label != null && label >= network.classes ? { label: null } : {}),
    ...(cutoff != null ? { cutoff: Math.min(cutoff, network.layers) } : {}),
    ...(mix ? { mix: fitted(mix.filter(({ point }) => !point), network) } : {}),
    ...(steer ? { steer: steerable(steer, network) } : {}),
  };
}
