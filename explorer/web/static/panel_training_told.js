// What a run says of itself in words: how far, how long still, what warns; and, folded, what it was asked to do.

import { button, copyText, h } from "./panel_kit.js";
import { kimgText } from "./panel_training_time.js";

export class Told {
  /** open(name) brings a network of the run to the stage. */
  constructor({ open }) {
    this.state = h("span", { class: "run-state" });
    this.seen = h("span", { class: "images-seen" });
    this.grown = h("span", { class: "hint run-grown" });
    this.left = h("span", { class: "hint time-left" });
    this.pace = h("span", { class: "hint" });
    this.bar = h("progress", { max: 1, "aria-label": "Images seen" });
    this.bestWords = h("span", {});
    this.bestOpen = button("To the stage", { icon: "stage", press: () => open(this.best) });
    this.bestRow = h("div", { class: "row wrap run-best", hidden: true }, this.bestWords, h("span", { class: "spring" }), this.bestOpen);
    this.warning = h("p", { class: "warning", role: "status", hidden: true });
    this.head = h(
      "section",
      { class: "run-head", "aria-label": "Progress" },
      h("div", { class: "row wrap" }, this.state, this.seen, h("span", { class: "spring" }), this.pace, this.left),
      this.bar,
      this.grown,
      this.bestRow,
      this.warning,
    );
    this.command = h("code", {});
    this.table = h("tbody", {});
    this.copy = button("Copy", { title: "Copy the command", press: () => copyText(this.copy, this.command) });
    this.asked = h(
      "details",
      { class: "asked ruled" },
      h("summary", {}, "Command and configuration"),
      h("div", { class: "sections" }, h("div", { class: "row" }, h("span", { class: "label" }, "Command"), h("span", { class: "spring" }), this.copy), h("pre", { tabindex: 0, "aria-label": "Command" }, this.command), h("table", {}, h("caption", { class: "visually-hidden" }, "Configuration"), this.table)),
    );
  }

  /** `grown` is {size, alpha} of the newest line where the pictures grow, else null. */
  show(facts, { words, grown }) {
    const { kimg, end } = facts;
    this.state.textContent = words;
    this.state.dataset.state = words;
    const seen = kimg == null ? "no tick yet" : `${Math.round(1000 * kimg).toLocaleString("en")} images seen`;
    this.seen.textContent = kimg != null && end != null ? `${seen} of ${Math.round(1000 * end).toLocaleString("en")}` : seen;
    this.left.textContent = words === "running" && facts.seconds_left != null ? `${span(facts.seconds_left)} left` : "";
    this.pace.textContent = facts.seconds_per_kimg == null ? "" : `${kimgText(facts.seconds_per_kimg)} s per kimg`;
    this.grown.textContent = grown ? `At ${grown.size}${grown.alpha < 1 ? `, alpha ${grown.alpha.toFixed(2)}` : ""}` : "";
    if (kimg != null && end) this.bar.value = Math.min(1, kimg / end);
    else this.bar.removeAttribute("value");
    this.bar.hidden = words !== "running" && kimg == null;
    this.warning.hidden = !facts.warning;
    if (this.warning.textContent !== (facts.warning ?? "")) this.warning.replaceChildren(...flagged(facts.warning ?? ""));
    this.#best(facts, words);
    this.#settings(facts);
  }

  /** The network that the run's own measure names; one that was put aside for its namesake is opened as a file. */
  #best({ best }, words) {
    this.bestRow.hidden = !best;
    if (!best) return;
    const { network, measure, value, kimg } = best;
    this.best = network;
    const title = words === "running" ? "Best so far" : "Best";
    this.bestWords.textContent = `${title}: ${network}, ${measure} ${Number(value.toPrecision(4))} at ${kimgText(kimg)} kimg`;
    this.bestOpen.hidden = !/^\d+$/.test(network);
    this.bestOpen.title = `Open ${network}, the network that the run's own measure names`;
  }

  #settings({ command, config }) {
    const key = JSON.stringify([command, config]);
    if (key === this.key) return;
    this.key = key;
    this.command.textContent = command || "The command was not kept.";
    this.copy.disabled = !command;
    this.table.replaceChildren(...config.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value === "" ? "–" : value))));
  }

}

/** A sentence whose flags stand in one piece each. */
function flagged(text) {
  return text.split(/(--[a-z][a-z0-9-]*(?: [0-9]+(?:\.[0-9]+)?)?)/).map((part) => (part.startsWith("--") ? h("code", {}, part) : part));
}

/** Seconds as people say them, up to days. */
function span(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}
