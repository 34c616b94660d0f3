// The timeline below the shelf: kept pictures at times, scrubbed and played on the stage, taken home as a film that carries it.

import { nameGroup, NumberField, radioField, wholeField } from "./fields.js";
import { filmOf, FORMATS, scaleMenu } from "./film.js";
import { JobBox } from "./panel_jobs.js";
import { button, h, icon, present, shaped, shelfMenu, take } from "./panel_kit.js";
import { MOST_FRAMES } from "./paths.js";
import { timelineOfFile } from "./timeline_file.js";
import { mountKey } from "./timeline_key.js";
import { EMPTY, TimelineModel, told } from "./timeline_model.js";
import { mountPlayer, mountView, Playhead } from "./timeline_player.js";
import { mountTrack } from "./timeline_track.js";

const TITLE = "Timeline";
const SETTLING = [60, 400, 2000]; // ms
const PARTS = [
  "#timeline-line", "#timeline-view", "#timeline-insert", "#timeline-key", "#timeline-rest", "#timeline-play", "#timeline-frame [type=range]", "#timeline-words",
  "#timeline-length input", "#timeline-fps [type=range]", "#timeline-spline [type=radio]", "#timeline-loop input",
];

/** What the page hands to the timeline, whether it is open or not. */
export function mountTimeline(stage) {
  const model = new TimelineModel({ say: (sentence) => complain(stage, sentence) });
  const fold = new Fold();
  stage.accept(TITLE, ({ recipe }) => model.add([{ recipe }]) && fold.open());
  take("keyframes", (given) => fromElsewhere(stage, model, given) && fold.open());
  take("timeline", ({ line, shas, name }) => brought(stage, model, { line, shas, name }) && fold.open());
  fold.takes((kept) => model.add([{ recipe: kept.recipe }]), stage);
  // Gradio builds what is folded when it is first opened.
  present(PARTS, () => mountParts(stage, model));
}

/** The fold itself: Gradio's accordion, dressed as the page's other fold. */
class Fold {
  constructor() {
    present(["#timeline > button"], () => this.#dress(this.button));
  }

  #dress(button) {
    button.prepend(icon("right"));
    button.append(h("span", { class: "hint" }, "kept pictures at times, and the film through them"));
    const tell = () => button.setAttribute("aria-expanded", String(button.classList.contains("open")));
    tell();
    new MutationObserver(tell).observe(button, { attributeFilter: ["class"] });
  }

  get button() {
    return document.querySelector("#timeline > button");
  }

  get isOpen() {
    return document.querySelector("#timeline-pane")?.checkVisibility() ?? false;
  }

  open() {
    if (!this.isOpen) this.button?.click();
    setTimeout(() => document.getElementById("timeline")?.scrollIntoView({ block: "nearest", behavior: "smooth" }), 60);
    return true;
  }

  /** Kept pictures that are dropped on it while it is closed go to its end, and it opens. */
  takes(add, stage) {
    const on = ({ target, dataTransfer }) => target.closest?.("#timeline") && !target.closest("#timeline-line") && dataTransfer.types.includes(KEPT);
    addEventListener("dragover", (event) => on(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!on(event)) return;
      event.preventDefault();
      const kept = stage.shelf.find(({ id }) => id === event.dataTransfer.getData(KEPT));
      if (kept && add(kept)) this.open();
    });
  }
}

/** Write a sentence over the stage and, as that may be out of sight, in the fold, until something is done here. */
function complain(stage, sentence) {
  stage.say(sentence);
  const place = document.getElementById("timeline-wrong");
  if (place) place.textContent = sentence;
}

const KEPT = "application/x-styloscope-kept";

/** Keyframes of another panel, such as a path drawn over the map, in the place of what is here. */
function fromElsewhere(stage, model, { recipes, times, spline = "catmull-rom", loop = false }) {
  if (!(recipes?.length > 1)) return false;
  const { checkpoint } = stage.recipe;
  const keys = recipes.map((recipe, index) => ({ recipe: { checkpoint, ...recipe }, time: times?.[index] ?? index, ease: "linear" }));
  const done = model.open({ ...EMPTY, spline, loop, keys });
  if (done) stage.tell(`${recipes.length} keys on the timeline`);
  return done;
}

/** A timeline out of a film or a file, and a word where its network is another one here. */
function brought(stage, model, { line, shas, name }) {
  const networks = [...new Set(line.keys.map(({ recipe }) => recipe.checkpoint).filter(Boolean))];
  const missing = networks.find((network) => !stage.find(network));
  if (missing) return stage.say(`${name} was made with the network ${missing}, which is not here.`);
  if (!model.open(line)) return false;
  if (model.whole) stage.set(model.frame(0));
  const other = networks.find((network) => shas.get(network) && stage.find(network).sha !== shas.get(network));
  if (other) stage.say(`${name} was made with another network named ${other} (${shas.get(other)}, here ${stage.find(other).sha}): its pictures differ.`);
  else stage.tell(`Restored from ${name}`);
  return true;
}

function mountParts(stage, model) {
  const [pane, rest] = ["timeline-pane", "timeline-rest"].map((id) => document.getElementById(id));
  shaped(stage, pane);
  const head = new Playhead(stage, model);
  stage.timeline = head;
  mountTrack(document.getElementById("timeline-line"), { stage, model, head, kept: KEPT });
  mountKey(document.getElementById("timeline-key"), { stage, model, head });
  mountSettings(model);
  mountView(stage, pane);
  mountPlayer(stage, model, head);
  rest.append(barOf(stage, model), h("p", { class: "wrong", id: "timeline-wrong" }), homeOf(stage, model));
  model.heard(() => {
    pane.classList.toggle("none", !model.line.keys.length);
    pane.classList.toggle("one", model.line.keys.length === 1);
    document.getElementById("timeline-wrong").textContent = "";
    if (stage.walk?.keys) stage.walk = model.whole ? model.line : null;
  });
  pane.addEventListener("keydown", (event) => {
    const z = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    if (!z || event.target.matches("input[type=text], input[type=number]")) return;
    event.preventDefault();
    if (event.shiftKey) model.redo();
    else model.undo();
  });
}

function mountSettings(model) {
  nameGroup("timeline-settings", "Settings of the timeline");
  const length = new NumberField("timeline-length", {
    name: "Length in seconds",
    change: (seconds, moving) => !moving && seconds > 0 && model.whole && model.stretch(seconds),
    reset: () => {},
    spell: (value) => String(Math.round(1000 * value) / 1000),
  });
  length.number.title = "How long the film lasts; all times are drawn out or in with it";
  const fps = wholeField("timeline-fps", { name: "Frames a second of the film", reach: [1, 60], start: EMPTY.fps, change: (value, moving) => model.change({ fps: value }, { moving }) });
  const titles = { "catmull-rom": "One smooth curve through all keys", linear: "Straight from key to key" };
  radioField("timeline-spline", { name: "Path", start: EMPTY.spline, titles, change: (spline) => model.line.spline !== spline && model.change({ spline }) });
  const loop = document.querySelector("#timeline-loop input");
  loop.closest("label").title = "From the last key back to the first";
  loop.addEventListener("change", () => loop.checked !== model.line.loop && model.change({ loop: loop.checked, duration: null }));
  const show = ({ line }) => {
    length.number.disabled = !model.whole;
    length.write(Math.round(1000 * model.seconds) / 1000);
    if (loop.checked !== line.loop) loop.click();
    const way = document.querySelector(`#timeline-spline input[value="${CSS.escape(line.spline)}"]`);
    if (way && !way.checked) way.click();
    fps.write(line.fps);
    fps.back.disabled = line.fps === EMPTY.fps;
  };
  model.heard(show);
  // Gradio gives what it has just built its first value once more.
  for (const wait of SETTLING) setTimeout(() => show(model), wait);
}

function barOf(stage, model) {
  const choose = h("input", { type: "file", accept: ".json,.gif,.webp,.mp4", hidden: true, "aria-label": "Open a timeline" });
  choose.addEventListener("change", async () => {
    const [file] = choose.files;
    choose.value = "";
    if (file) openFile(stage, model, file);
  });
  const save = button("Save", { icon: "save", title: "This timeline as JSON", press: () => {
    stage.download(new Blob([`${JSON.stringify(told(model.line), null, 1)}\n`], { type: "application/json" }), "timeline.json");
  } });
  const even = button("Space evenly", { title: "The same time between all keys", press: () => model.even() });
  const undo = button("", { icon: "undo", kind: "icon", label: "Undo on the timeline", title: "Undo (Ctrl Z here)", press: () => model.undo() });
  const redo = button("", { icon: "redo", kind: "icon", label: "Redo on the timeline", title: "Redo", press: () => model.redo() });
  const clear = button("Clear", { title: "Remove all keys", press: () => model.open(EMPTY) });
  const all = button("The whole shelf", { title: "Every kept picture as a key, a second apart", press: () => model.add(stage.shelf.map(({ recipe }) => ({ recipe }))) });
  const bar = h(
    "div", { class: "row wrap bar", role: "toolbar", "aria-label": "Timeline" },
    button("Add the stage", { icon: "plus", kind: "plain strong", title: "The stage's picture as a key, a second after the last", press: () => model.add([{ recipe: stage.recipe }]) }),
    shelfMenu(stage, { label: "Add from the shelf", pick: ({ recipe }) => model.add([{ recipe }]) }),
    all, undo, redo, even, clear, h("span", { class: "spring" }),
    button("Open", { title: "A timeline's JSON, or a GIF, WebP or MP4 that carries one", press: () => choose.click() }), save, choose,
  );
  model.heard(() => {
    even.disabled = model.line.keys.length < 3;
    save.disabled = !model.whole;
    clear.disabled = !model.line.keys.length;
    [undo.disabled, redo.disabled] = [!model.can.undo, !model.can.redo];
  });
  stage.subscribeShelf((items) => (all.hidden = items.length < 2));
  return bar;
}

async function openFile(stage, model, file) {
  try {
    const found = await timelineOfFile(file);
    if (!found) throw new Error(`${file.name} is no timeline, and no film that carries one.`);
    brought(stage, model, { ...found, name: file.name });
  } catch (wrong) {
    stage.say(wrong.message);
  }
}

function homeOf(stage, model) {
  const job = new JobBox(stage);
  const save = ([format, words]) => {
    if (model.count > MOST_FRAMES) return stage.say(`${model.count} frames are too many: a film has at most ${MOST_FRAMES}.`);
    return job.run(filmOf(stage, model.line, format), { words: `Making ${model.count} frames as ${words.replace(" frames", "")}` });
  };
  const buttons = FORMATS.map((one) => button(one[1], { title: `The film as ${one[1]}, which carries this timeline`, press: () => save(one) }));
  model.heard(() => buttons.forEach((one) => (one.disabled = !model.whole)));
  return h("section", { "aria-label": "Take the film home" }, h("div", { class: "row wrap home" }, h("span", { class: "label" }, "Take home"), buttons, scaleMenu(stage)), job.root);
}
