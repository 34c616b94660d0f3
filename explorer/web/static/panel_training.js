// A training followed live: which run, how far it is, its sheets over time, its curves, what it was asked; and a small one started.

import { asked, posting } from "./asking.js";
import { Curves } from "./panel_training_curves.js";
import { PARTS as START_PARTS, Starter } from "./panel_training_start.js";
import { Told } from "./panel_training_told.js";
import { PARTS as TIME_PARTS, TimeMachine } from "./panel_training_time.js";
import { goTo } from "./elsewhere.js";
import { adorn } from "./fields.js";
import { h, present, whenSeen } from "./panel_kit.js";

const POLL = 2000; // ms between two looks at a run that is alive, while somebody looks
const FIRST = 5000; // ms between two looks for a first run
const PARTS = ["#training-run input", "#training-sync", "#training-said", "#training-head", "#training-rest", "#training-to-stage", ...TIME_PARTS, ...START_PARTS];
const WORDS = { running: "running", done: "done", stopped: "stopped" };

export function mount(stage) {
  present(PARTS, () => {
    const room = new Room(stage);
    whenSeen(document.getElementById("training-panel"), (now) => room.seen(now));
    document.addEventListener("visibilitychange", () => room.look());
  });
}

class Room {
  run = null; // the name of the run that is followed
  places = { log: "", metrics: "" };
  own = null; // the training that the page started
  awaiting = null; // the name of one that was started and whose folder is not there yet
  state = null; // what the last look said of the run
  inSight = false;
  #timer = 0;
  #asking = null;

  constructor(stage) {
    this.stage = stage;
    this.label = document.getElementById("training-run");
    this.menu = stage.menus.mount("training-run", (words) => this.#follow(this.names.get(words)), { sync: "training-sync" });
    this.menu.setAttribute("aria-label", "Run");
    this.menu.addEventListener("focus", () => this.#list().catch((wrong) => this.#say(wrong)));
    this.told = new Told({ open: (name) => this.#toStage(name) });
    this.time = new TimeMachine({ shown: (moment) => this.#moment(moment) });
    this.curves = new Curves({ pick: (kimg) => this.time.goTo(kimg) });
    this.bring = adorn("training-to-stage", "stage");
    this.bring.addEventListener("click", () => this.#toStage(this.#nearest(this.time.moment)));
    this.starter = new Starter({
      start: (wish) => this.#start(wish),
      stop: () => this.#stop(),
    });
    this.empty = h("p", { class: "empty", hidden: true }, "No run yet. Start a small one here, or train in a terminal: every run in the folder of runs appears in this place.");
    this.wrong = h("p", { class: "wrong", role: "status" });
    const put = (id, ...parts) => document.getElementById(id).append(...parts);
    put("training-said", this.empty, this.wrong);
    put("training-head", this.told.head);
    put("training-rest", this.curves.root, this.told.asked);
    this.body = ["training-head", "training-time", "training-rest"].map((id) => document.getElementById(id));
    this.#reveal(false);
    this.label.hidden = true;
  }

  #reveal(now) {
    for (const part of this.body) part.hidden = !now;
  }

  seen(now) {
    this.inSight = now;
    this.time.seen(now);
    this.look();
  }

  /** Look now, where somebody does; else not before they do. */
  look() {
    clearTimeout(this.#timer);
    if (!this.inSight || document.hidden) return;
    this.#asking ??= this.#turn().finally(() => {
      this.#asking = null;
      const wait = this.alive ? POLL : this.runs?.length ? null : FIRST;
      if (wait && this.inSight && !document.hidden) this.#timer = setTimeout(() => this.look(), wait);
    });
  }

  async #turn() {
    try {
      if (!this.run || this.#awaited) await this.#list();
      if (this.run) await this.#take(this.run);
      this.wrong.textContent = "";
    } catch (wrong) {
      this.#say(wrong);
    }
  }

  /** Whether there will be something new. */
  get alive() {
    return this.state === "running" || this.#awaited;
  }

  get #awaited() {
    return this.awaiting !== null && this.own?.name === this.awaiting && ["running", "stopping"].includes(this.own.state);
  }

  async #list() {
    const { runs, own, folder } = await asked("training");
    this.runs = runs;
    this.#owned(own);
    this.starter.offer({ folder, names: runs.map(({ name }) => name) });
    const named = (wanted) => runs.find(({ name }) => name === wanted);
    const found = named(this.awaiting) ?? named(this.run) ?? runs[0];
    this.#fill(found?.name);
    this.empty.hidden = runs.length > 0 || this.#awaited;
    this.label.hidden = runs.length === 0;
    if (found && found.name !== this.run) this.#open(found.name);
    if (found?.name === this.awaiting) this.awaiting = null;
  }

  #fill(chosen) {
    const words = ({ name, state }) => (state === "running" ? `${name} (running)` : name);
    this.names = new Map(this.runs.map((run) => [words(run), run.name]));
    const shown = this.runs.find(({ name }) => name === chosen);
    this.stage.menus.show("training-run", { choices: [...this.names.keys()], value: shown ? words(shown) : null });
  }

  #follow(name) {
    this.#open(name);
    this.look();
  }

  #open(name) {
    this.run = name;
    this.places = { log: "", metrics: "" };
    this.state = null;
    this.time.open(name);
    this.curves.open(name);
    this.networks = [];
  }

  /** Take what is new of a run, all of it where there is more than one answer holds. */
  async #take(name) {
    for (;;) {
      const query = new URLSearchParams({ run: name, ...this.places });
      const news = await asked(`training/run?${query}`);
      if (this.run !== name) return void setTimeout(() => this.look());
      this.places = { log: news.log.next, metrics: news.metrics.next };
      this.#owned(news.own);
      this.#show(news);
      if (!news.log.more && !news.metrics.more) return;
    }
  }

  #show(news) {
    const { name, state, facts } = news;
    this.#reveal(true);
    this.state = state;
    const listed = this.runs.find((run) => run.name === name);
    if (listed && listed.state !== state) {
      listed.state = state;
      this.#fill(name);
    }
    this.networks = facts.networks;
    this.curves.add("log", news.log);
    this.told.show(facts, { words: WORDS[state], grown: this.curves.grown });
    this.curves.add("metrics", news.metrics);
    if (this.curves.crowded) this.places = { log: "", metrics: "" };
    this.time.show(news.moments, { kimg: facts.kimg });
    this.#moment(this.time.moment);
  }

  #moment(moment) {
    const nearest = this.#nearest(moment);
    this.bring.disabled = !nearest;
    this.bring.title = nearest ? `Open ${this.run}/${nearest} on the stage` : "The run has no network yet; its first comes within minutes";
    this.curves.mark(moment && !this.time.following ? moment.kimg : null);
  }

  /** The network file nearest to a moment, the newest where the newest sheet is shown. */
  #nearest(moment) {
    const names = this.networks ?? [];
    if (!moment || this.time.following) return names.at(-1);
    const away = (name) => Math.abs(Number(name) - Math.floor(moment.kimg)); // names are kimg, rounded down
    return names.reduce((best, name) => (best === undefined || away(name) <= away(best) ? name : best), undefined);
  }

  async #toStage(name) {
    const checkpoint = `${this.run}/${name}`;
    await this.stage.refreshNetworks();
    const network = this.stage.find(checkpoint);
    if (!network) return this.stage.say(`The network ${checkpoint} is no longer there.`);
    goTo(this.stage, network);
  }

  #owned(own) {
    const before = this.own;
    this.own = own;
    this.starter.follow(own);
    if (own?.state === "failed" && before?.state !== "failed" && before) this.stage.say(own.error);
  }

  async #start(wish) {
    const own = await asked("training", posting(wish));
    this.awaiting = own.name;
    this.#owned(own);
    this.empty.hidden = true;
    // What runs is told above what starts it.
    document.getElementById("training-panel").scrollIntoView({ block: "start" });
    this.look();
  }

  async #stop() {
    this.#owned((await asked("training", { method: "DELETE" })).own);
    this.look();
  }

  #say(wrong) {
    this.wrong.textContent = wrong.message;
    // A server that is away for a moment is asked again; a run that is gone is not.
    if (!wrong.silent) this.run = this.state = null;
  }
}
