// A walk between any number of pictures: typed, kept or the stage's; scrubbed and played on the stage, taken home as a film.

import { adorn, nameGroup, NumberField, radioField, textField, wholeField } from "./fields.js";
import { FORMATS, scaleMenu } from "./film.js";
import { CORNERS_PARTS, mountCorners } from "./panel_corners.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, hand, likeStage, onlySeed, openTab, parseSpots, present, rested, shaped, shelfMenu, showClasses, spotText, take, Thumbs, whenSeen } from "./panel_kit.js";
import { frameCount, frameOf, MOST_FRAMES } from "./paths.js";
import { full, place as placeWords, short } from "./recipe.js";

const PARTS = [
  "#walk-seeds input", "#walk-pictures", "#steps [type=range]", "#fps [type=range]", "#space [type=radio]", "#ease [type=radio]", "#loop input",
  "#walk-play", "#frame [type=range]", "#frame-words", "#walk-keep", "#walk-rest", ...CORNERS_PARTS,
];
const MOST_POINTS = 64;
const STRIP = 12; // thumbnails of the film strip
const FOLLOWED = 3000; // frames up to which the scrubber knows the stage's picture again

/** What this panel takes from the shelf, also before its tab was first opened. */
export function announce(stage) {
  stage.accept("Interpolate", (kept) => {
    openTab("Interpolate");
    hand("walk-add", kept);
  });
}

export function mount(stage) {
  present(PARTS, () => {
    const [root, pictures, rest] = ["interpolate-panel", "walk-pictures", "walk-rest"].map((id) => document.getElementById(id));
    shaped(stage, root);
    const walk = new Walk(stage);
    settingsOf(walk);
    pictures.append(...pointsOf(stage, walk));
    rest.append(playerOf(stage, walk), homeOf(stage, walk));
    mountCorners(stage);
    walk.begin();
    take("walk-between", (spots) => walk.to(spots));
  });
}

/** The walk's points and settings. A point is {seed}, {seed, label} or {name, recipe}; seeds look like the stage, kept pictures as kept. */
class Walk {
  points = [{ seed: 3 }, { seed: 9 }, { seed: 27 }];
  settings = { steps: 24, space: "w", ease: "linear", loop: false, fps: 24 };
  #heard = [];
  #acting = false;
  #touched = false; // before that, what is played is a stroll

  constructor(stage) {
    this.stage = stage;
    this.base = likeStage(stage.recipe);
    stage.subscribe((recipe, network) => this.#follow(recipe, network));
    document.addEventListener("point-renamed", ({ detail }) => this.#renamed(detail));
  }

  begin() {
    this.#tell();
  }

  heard(fn) {
    this.#heard.push(fn);
  }

  to(points) {
    if (points.length > MOST_POINTS) return this.stage.say(`A walk has at most ${MOST_POINTS} pictures.`);
    this.points = points;
    this.#tell({ taking: true });
  }

  change(settings) {
    this.settings = { ...this.settings, ...settings };
    this.#tell({ taking: true });
  }

  recipeOf(point) {
    return full(point.recipe ?? { ...onlySeed(this.base, point.seed), ...(point.label == null ? {} : { label: point.label }) });
  }

  /** {recipes, steps, loop, ease, space, fps}, or null while there are fewer than two points. */
  get whole() {
    return this.points.length < 2 ? null : { recipes: this.points.map((point) => this.recipeOf(point)), ...this.settings };
  }

  get count() {
    return this.whole ? frameCount(this.whole) : 0;
  }

  show(index, moving) {
    this.#acting = true;
    this.taken();
    try {
      this.stage.set(frameOf(this.whole, index), { moving });
    } catch (wrong) {
      this.stage.say(wrong.message);
    } finally {
      this.#acting = false;
    }
  }

  #follow(recipe, network) {
    const base = likeStage(recipe);
    if (this.#acting || this.stage.scrubbing || this.stage.player.playing || recipe.toward || recipe.blend.length) return;
    if (JSON.stringify(base) === JSON.stringify(this.base)) return;
    this.base = base;
    if (this.points.some((point) => point.recipe && point.recipe.checkpoint !== base.checkpoint)) {
      this.points = this.points.filter((point) => !point.recipe || point.recipe.checkpoint === base.checkpoint);
    }
    if (network) this.points = this.points.map((point) => (point.label >= network.classes ? { seed: point.seed } : point));
    this.#tell();
  }

  /** Kept pictures keep the names that they stand under here; `follow` gives back their recipes as they are now. */
  #renamed(follow) {
    this.points = this.points.map((point) => (point.recipe ? { ...point, recipe: follow(point.recipe) } : point));
    this.#tell();
  }

  /** From here on this is the walk that is played and saved. */
  taken() {
    this.#touched = true;
    this.stage.walk = this.whole;
  }

  #tell({ taking = false } = {}) {
    // A timeline that was scrubbed last stays what is played and saved until this walk is touched.
    if (taking || (this.#touched && !this.stage.walk?.keys)) this.taken();
    for (const fn of this.#heard) fn(this);
  }
}

const nameOf = (point) => (point.recipe ? `@${point.name}` : spotText(point));

function pointsOf(stage, walk) {
  const thumbs = new Thumbs(stage, { size: 128 });
  const list = h("ol", { class: "points", "aria-label": "Pictures of the walk" });
  const read = (text) => {
    const points = text.split(",").flatMap((part) => {
      const known = walk.points.find((point) => point.recipe && nameOf(point) === part.trim());
      return known ?? parseSpots(part, { most: MOST_POINTS, classes: stage.network?.classes });
    });
    if (points.length < 2) throw new Error("A walk needs two pictures or more, such as 3, 9");
    walk.to(points);
  };
  const field = textField("walk-seeds", { name: "Seeds", hint: "Such as 3, 9, 27 or 0-7. Kept pictures stand here as @name.", read });
  const addKept = (name, recipe) => {
    if (recipe.checkpoint && recipe.checkpoint !== stage.recipe.checkpoint) return stage.say(`${name} is of the network ${recipe.checkpoint}; a walk stays in one network.`);
    const tidy = name.replaceAll(",", " ").trim() || "picture";
    const taken = new Set(walk.points.map(nameOf));
    let free = tidy;
    for (let k = 2; taken.has(`@${free}`); k++) free = `${tidy} ${k}`;
    walk.to([...walk.points, { name: free, recipe: full(recipe) }]);
  };
  take("walk-add", (kept) => addKept(kept.name, kept.recipe));
  const bar = h(
    "div",
    { class: "row wrap bar" },
    button("Add the stage", { icon: "plus", press: () => addStage(stage, walk, addKept) }),
    shelfMenu(stage, { label: "From the shelf", pick: (kept) => addKept(kept.name, kept.recipe) }),
    button("Random", { icon: "dice", kind: "brief", label: "Add any seed", title: "Add any seed", press: () => walk.to([...walk.points, { seed: crypto.getRandomValues(new Uint32Array(1))[0] % 10000 }]) }),
  );
  let cards = [];
  walk.heard(() => {
    field.write(walk.points.map(nameOf).join(", "));
    cards.splice(walk.points.length).forEach((card) => (thumbs.drop(card.thumb), card.root.remove()));
    while (cards.length < walk.points.length) {
      cards.push(pointCard(stage, walk, thumbs, cards.length));
      list.append(cards.at(-1).root);
    }
    cards.forEach((card, index) => card.show(walk.points[index], walk.points.length));
  });
  nameGroup("walk", "Pictures", "region");
  return [list, bar];
}

function addStage(stage, walk, addKept) {
  const { recipe } = stage;
  const plain = !recipe.mix.length && !recipe.steer.length && !recipe.toward && !recipe.blend.length && !recipe.point;
  if (plain) walk.to([...walk.points, { seed: recipe.seed, ...(recipe.label == null ? {} : { label: recipe.label }) }]);
  else addKept(placeWords(recipe), recipe);
}

function pointCard(stage, walk, thumbs, index) {
  const thumb = thumbs.make({ label: `Picture ${index + 1} to the stage`, press: (recipe) => stage.show(recipe) });
  const words = h("span", { class: "name" });
  const move = (step) => {
    const points = [...walk.points];
    points.splice(index + step, 0, ...points.splice(index, 1));
    walk.to(points);
  };
  const left = button("", { icon: "left", kind: "icon", label: `Picture ${index + 1} earlier`, press: () => move(-1) });
  const right = button("", { icon: "right", kind: "icon", label: `Picture ${index + 1} later`, press: () => move(1) });
  const gone = button("", { icon: "close", kind: "icon", label: `Remove picture ${index + 1}`, press: () => walk.to(walk.points.filter((_, k) => k !== index)) });
  const relabel = () => walk.to(walk.points.map((point, k) => (k === index ? { ...point, label: Number(label.value) } : point)));
  const label = h("select", { "aria-label": `Picture ${index + 1} class`, hidden: true, onchange: relabel });
  const root = h("li", {}, thumb, words, label, h("div", { class: "tools" }, left, gone, right));
  const show = (point, count) => {
    words.textContent = point.recipe ? point.name : `seed ${point.seed}`;
    words.title = words.textContent;
    showClasses(label, point.recipe ? null : stage.network, point.label ?? walk.base.label ?? 0);
    [left.disabled, right.disabled] = [index === 0, index === count - 1];
    thumbs.set(thumb, walk.recipeOf(point));
  };
  return { root, thumb, show };
}

function settingsOf(walk) {
  nameGroup("walk-settings", "Settings of the walk");
  const { steps, fps } = walk.settings;
  wholeField("steps", { name: "Steps", reach: [1, 120], most: 2000, start: steps, change: (value) => walk.change({ steps: value }) });
  wholeField("fps", { name: "Frames a second", reach: [1, 60], start: fps, change: (value) => walk.change({ fps: value }) });
  document.getElementById("steps").title = "Frames from picture to picture";
  radioField("space", { name: "Space", start: "w", titles: { w: "A straight line between styles", z: "Round the sphere the latents lie on; for plain seeds" }, change: (space) => walk.change({ space }) });
  radioField("ease", { name: "Ease", start: "linear", titles: { linear: "The same pace all the way", smooth: "Rests at every picture" }, change: (ease) => walk.change({ ease }) });
  const loop = document.querySelector("#loop input");
  loop.closest("label").title = "From the last picture back to the first";
  loop.addEventListener("change", () => walk.change({ loop: loop.checked }));
}

function playerOf(stage, walk) {
  const play = adorn("walk-play", "play", { title: "Play (space)" });
  play.addEventListener("click", () => (walk.taken(), stage.play()));
  adorn("walk-keep", "keep", { title: "Keep this frame on the shelf" }).addEventListener("click", () => stage.keep());
  const words = document.getElementById("frame-words");
  const to = (frame, moving) => {
    if (!Number.isInteger(frame) || frame < 0 || frame >= walk.count) return;
    put(frame);
    walk.show(frame, moving);
  };
  const scrub = new NumberField("frame", { name: "Frame", change: (number, moving) => to(number - 1, moving), reset: () => to(0, false) });
  scrub.back.title = "Back to the first frame";
  let at = 0;
  const put = (frame) => {
    at = frame;
    scrub.write(frame + 1);
    scrub.back.disabled = frame === 0;
  };
  const say = () => {
    words.textContent = walk.count ? `of ${walk.count}, ${(walk.count / walk.settings.fps).toFixed(1)} s` : "";
  };
  const strip = stripOf(stage, (frame) => to(frame, false));
  let known = new Map();
  let seen = false;
  const draw = () => {
    known = new Map();
    const whole = walk.whole;
    scrub.range.disabled = scrub.number.disabled = play.disabled = !whole;
    say();
    if (!whole) return;
    scrub.reach(1, walk.count);
    put(Math.min(at, walk.count - 1));
    try {
      if (seen) strip.show(whole, walk.count);
    } catch (wrong) {
      stage.say(wrong.message);
    }
  };
  const later = rested(draw, 120);
  walk.heard(() => (say(), later()));
  const index = () => {
    for (let k = 0; k < walk.count; k++) known.set(JSON.stringify(frameOf(walk.whole, k)), k);
  };
  stage.subscribe((recipe) => {
    const playing = stage.player.playing;
    play.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
    play.setAttribute("aria-label", playing ? "Pause the walk" : "Play the walk");
    if (!seen || ([scrub.range, scrub.number].includes(document.activeElement) && !playing) || !walk.whole || walk.count > FOLLOWED) return;
    if (!known.size && (playing || recipe.toward || recipe.blend.length)) index();
    const frame = known.get(JSON.stringify(recipe));
    if (frame !== undefined && frame !== at) put(frame);
  });
  whenSeen(nameGroup("walk-player", "Play", "region"), (now) => ((seen = now), now && draw()));
  return strip.root;
}

/** Frames of the walk in a row, the first to the last; `pick(frame)` hears which one is pressed. */
function stripOf(stage, pick) {
  const thumbs = new Thumbs(stage, { size: 112 });
  const shots = Array.from({ length: STRIP }, (_, k) => {
    const shot = thumbs.make({ label: `Film strip ${k + 1} of ${STRIP}`, title: "To the stage", kind: "shot", press: () => pick(shot.frame) });
    return shot;
  });
  const show = (whole, count) => shots.forEach((shot, k) => {
    shot.frame = Math.round((k / (STRIP - 1)) * (count - 1));
    thumbs.set(shot, frameOf(whole, shot.frame));
  });
  return { root: h("div", { class: "strip", role: "group", "aria-label": "Film strip" }, shots), show };
}

function homeOf(stage, walk) {
  const job = new JobBox(stage);
  const save = ([format, words]) => {
    if (walk.count > MOST_FRAMES) return stage.say(`${walk.count} frames are too many: a film has at most ${MOST_FRAMES}.`);
    return job.run(wishOf(walk, format), { words: `Making ${walk.count} frames as ${words.replace(" frames", "")}` });
  };
  const buttons = FORMATS.map((one) => button(one[1], { press: () => save(one) }));
  walk.heard(() => buttons.forEach((one) => (one.disabled = !walk.whole)));
  return h("section", { "aria-label": "Take home" }, h("div", { class: "row wrap home" }, h("span", { class: "label" }, "Take home"), buttons, scaleMenu(stage)), job.root);
}

function wishOf(walk, format) {
  const { recipes, ...settings } = walk.whole;
  const wish = { verb: "interpolate", format, scale: walk.stage.filmScale, ...settings };
  const seeds = walk.points.every((point) => !point.recipe && point.label == null);
  if (!seeds) return { ...wish, checkpoint: walk.base.checkpoint, recipes: recipes.map(short) };
  return { ...wish, ...walk.base, seeds: walk.points.map((point) => point.seed).join(",") };
}
