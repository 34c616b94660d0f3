// The key that was chosen on the line: its time, how the film goes on from it, its picture.

import { button, h } from "./panel_kit.js";
import { place as placeWords } from "./recipe.js";
import { EASES } from "./timeline_file.js";
import { onlyNumbers } from "./typing.js";

/** Draw what can be done with the chosen key into `place`. */
export function mountKey(place, { stage, model, head }) {
  const words = h("span", { class: "label" });
  const picture = h("span", { class: "hint name" });
  const time = h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", "aria-label": "Time of the key in seconds" });
  onlyNumbers(time);
  const ease = h("select", { "aria-label": "Ease after the key" }, Object.entries(EASES).map(([value, told]) => h("option", { value }, `${value}: ${told}`)));
  const on = (change) => () => model.chosen && change(model.chosen);
  time.addEventListener("change", on((key) => {
    if (Number.isFinite(time.valueAsNumber) && time.valueAsNumber >= 0) head.put(model.frameAt(model.edit(key, { time: time.valueAsNumber })));
    draw();
  }));
  ease.addEventListener("change", on((key) => model.edit(key, { ease: ease.value })));
  const choose = (step) => {
    const next = model.line.keys[model.place + step];
    if (!next) return;
    model.choose(next);
    head.show(model.frameAt(next), false);
  };
  const buttons = {
    before: button("", { icon: "left", kind: "icon", label: "Key before", title: "The key before", press: () => choose(-1) }),
    after: button("", { icon: "right", kind: "icon", label: "Key after", title: "The key after", press: () => choose(1) }),
    take: button("Take from the stage", { title: "The stage's picture in the place of this key's", press: on((key) => model.edit(key, { recipe: stage.recipe })) }),
    twice: button("Duplicate", { title: "The same picture once more, half way to the next key", press: on((key) => model.duplicate(key)) }),
    remove: button("Remove", { title: "Remove this key (Delete)", press: on((key) => model.remove(key)) }),
  };
  const own = h(
    "div", { class: "row wrap key", role: "group", "aria-label": "Chosen key" },
    h("span", { class: "row" }, buttons.before, buttons.after), h("span", { class: "row" }, words, picture),
    h("label", { class: "row" }, h("span", { class: "hint" }, "at"), time, h("span", { class: "hint" }, "s")),
    h("label", { class: "row" }, h("span", { class: "hint" }, "then"), ease),
    h("span", { class: "row wrap" }, buttons.take, buttons.twice, buttons.remove),
  );
  place.append(own);
  const draw = () => {
    const { chosen: key, line } = model;
    own.hidden = !key;
    if (!key) return;
    const index = model.place;
    words.textContent = `Key ${index + 1} of ${line.keys.length}`;
    picture.textContent = placeWords(key.recipe);
    picture.title = picture.textContent;
    if (document.activeElement !== time) time.value = Number(key.time.toFixed(3));
    ease.value = key.ease;
    ease.disabled = index === line.keys.length - 1 && !line.loop;
    [buttons.before.disabled, buttons.after.disabled] = [index === 0, index === line.keys.length - 1];
  };
  model.heard(draw);
}
