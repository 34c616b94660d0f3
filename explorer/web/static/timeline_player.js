// The timeline's playhead: which frame the hand is at, shown on the stage, played from there; and the stage once more beside the line.

import { adorn, nameGroup, NumberField } from "./fields.js";
import { whenSeen } from "./panel_kit.js";
import { walkAt } from "./play.js";

/** Which frame the hand is at; showing one puts it on the stage. */
export class Playhead {
  frame = 0;
  #heard = [];
  #shown = null;

  constructor(stage, model) {
    this.stage = stage;
    this.model = model;
    // While the stage shows the film, it shows what a change does to it.
    model.heard(() => this.model.whole && stage.recipe === this.#shown && this.show(Math.min(this.frame, model.count - 1), true));
  }

  heard(fn) {
    this.#heard.push(fn);
  }

  get seconds() {
    return this.frame / this.model.line.fps;
  }

  /** Stand at a frame without showing it. */
  put(frame) {
    this.frame = Math.max(0, Math.min(frame, this.model.count - 1));
    for (const fn of this.#heard) fn(this);
  }

  show(frame, moving) {
    const { stage, model } = this;
    this.put(frame);
    if (model.whole) stage.walk = model.line;
    stage.scrubbing = true;
    try {
      const recipe = model.whole ? model.frame(this.frame) : model.line.keys[0]?.recipe;
      if (recipe) stage.set(recipe, { moving });
      this.#shown = stage.recipe;
    } catch (wrong) {
      stage.say(wrong.message);
    } finally {
      stage.scrubbing = false;
    }
  }

  /** Play on from here; from the first frame where it is at the last. */
  play() {
    const { stage, model } = this;
    stage.walk = model.line;
    const first = this.frame >= model.count - 1 ? 0 : this.frame;
    const at = walkAt(model.line, first);
    stage.player.start((seconds) => {
      const now = at(seconds);
      this.put(now.frame);
      return now;
    }, "timeline");
  }
}

/** What the stage shows, once more beside the line: down here the stage itself may be out of sight. */
export function mountView(stage, pane) {
  const view = document.getElementById("timeline-view");
  const draw = () => {
    const { canvas } = stage.view ?? {};
    if (!canvas?.dataset.recipe || !pane.checkVisibility()) return;
    if (view.width !== canvas.width || view.height !== canvas.height) [view.width, view.height] = [canvas.width, canvas.height];
    view.getContext("2d").drawImage(canvas, 0, 0);
  };
  document.addEventListener("drawn", draw);
  whenSeen(view, draw);
}

export function mountPlayer(stage, model, head) {
  nameGroup("timeline-player", "Player of the timeline", "region");
  const play = adorn("timeline-play", "play");
  play.addEventListener("click", () => (stage.player.playing ? stage.player.stop() : head.play()));
  const words = document.getElementById("timeline-words");
  const insert = adorn("timeline-insert", "plus", { title: "The picture that the film has here as a key of its own" });
  insert.addEventListener("click", () => model.add([{ recipe: model.frame(head.frame), time: head.seconds }]));
  const scrub = new NumberField("timeline-frame", {
    name: "Frame of the timeline",
    change: (number, moving) => Number.isInteger(number) && number >= 1 && number <= model.count && head.show(number - 1, moving),
    reset: () => head.show(0, false),
  });
  scrub.back.title = "Back to the first frame";
  const draw = () => {
    scrub.range.disabled = scrub.number.disabled = play.disabled = !model.whole;
    insert.disabled = !model.whole || model.line.keys.some((key) => model.frameAt(key) === head.frame);
    scrub.reach(1, Math.max(1, model.count));
    scrub.write(head.frame + 1);
    scrub.back.disabled = head.frame === 0;
    words.textContent = model.whole ? `of ${model.count}, ${head.seconds.toFixed(2)} of ${model.seconds.toFixed(1)} s` : "";
  };
  head.heard(draw);
  model.heard(() => (head.frame > model.count - 1 ? head.put(Math.max(0, model.count - 1)) : draw()));
  stage.subscribe(() => {
    const playing = stage.player.playing && stage.player.what === "timeline";
    play.querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
    play.setAttribute("aria-label", playing ? "Pause the timeline" : "Play the timeline");
    play.title = playing ? "Pause" : "Play";
  });
}
