// Long work on the server: asked for, followed, cancelled, taken home.

import { asked, heard, posting } from "./asking.js";
import { button, h, timeLeft } from "./panel_kit.js";

const POLL = 300; // milliseconds
const PATIENCE = 30_000; // ms for which a server that does not answer is asked again

/** A place that shows one job at a time: what is made, how far it is, the time left, and Cancel. */
export class JobBox {
  #newest = null; // the wish that counts
  #turn = Promise.resolve(); // the end of the one before
  #unheard = false; // the server did not hear Cancel

  constructor(stage, { fetch: ask = window.fetch.bind(window) } = {}) {
    this.stage = stage;
    this.ask = ask;
    this.id = null;
    this.words = h("span", { class: "job-words" });
    this.left = h("span", { class: "hint job-left" });
    this.bar = h("progress", { max: 1, "aria-label": "Progress" });
    this.cancelButton = button("Cancel", { press: () => this.stop() });
    this.result = h("span", { class: "job-result", role: "status" });
    this.working = h("div", { class: "job-working", hidden: true }, h("div", { class: "row" }, this.words, h("span", { class: "spring" }), this.left, this.cancelButton), this.bar);
    this.root = h("div", { class: "job" }, this.working, this.result);
    window.addEventListener("pagehide", () => this.id && this.ask(`jobs/${this.id}`, { method: "DELETE", keepalive: true }));
  }

  get busy() {
    return this.id !== null;
  }

  /** Run a job, in place of the one that runs here, and return {state, url, name}; state is done, failed or cancelled. `take` downloads the file. */
  async run(wish, { words, take = true }) {
    this.#newest = wish;
    if (this.busy) await this.cancel();
    // The one before still says how it ended, and would else hide this one's progress.
    this.#turn = this.#turn.then(() => (this.#newest === wish ? this.#one(wish, { words, take }) : { state: "cancelled" }));
    return this.#turn;
  }

  async #one(wish, { words, take }) {
    this.result.replaceChildren();
    this.words.textContent = words;
    this.left.textContent = "";
    this.bar.removeAttribute("value");
    this.working.hidden = false;
    this.#unheard = false;
    try {
      const { id } = await asked("jobs", posting(wish), this.ask);
      this.id = id;
      if (this.#newest !== wish) await this.cancel();
      const status = await this.#follow(id);
      if (status.state === "failed") throw new Error(status.error);
      if (status.state === "cancelled") {
        this.result.textContent = "Cancelled.";
        return { state: "cancelled" };
      }
      const url = `jobs/${id}/file`;
      if (take) {
        this.stage.download(url, status.name);
        this.result.replaceChildren("Saved ", h("a", { href: url, download: status.name }, status.name));
      }
      return { state: "done", url, name: status.name };
    } catch (wrong) {
      // One that ended just before it was cancelled is forgotten: no error.
      if (this.#newest !== wish && !wrong.silent) {
        this.result.textContent = "Cancelled.";
        return { state: "cancelled" };
      }
      this.result.replaceChildren(h("span", { class: "wrong" }, wrong.message));
      this.stage.say(wrong.message);
      return { state: "failed", error: wrong.message };
    } finally {
      this.id = null;
      this.working.hidden = true;
    }
  }

  /** Stop what was asked for last, also where the server has not yet said that it began. */
  async stop() {
    this.#newest = null;
    this.left.textContent = "stopping";
    await this.cancel();
  }

  /** Stop what runs here. */
  async cancel() {
    if (!this.id) return;
    this.left.textContent = "stopping";
    try {
      await heard(`jobs/${this.id}`, { method: "DELETE" }, this.ask);
      this.#unheard = false;
    } catch (wrong) {
      // Told again once the server answers.
      console.debug(wrong.message);
      this.#unheard = true;
    }
  }

  /** How the job stands. One question that gets no answer does not end it: the server works on meanwhile. */
  async #status(id) {
    let since = null; // when it fell silent
    for (;;) {
      try {
        return await asked(`jobs/${id}`, {}, this.ask);
      } catch (wrong) {
        since ??= performance.now();
        if (!wrong.silent || performance.now() - since > PATIENCE) throw wrong;
        this.left.textContent = "waiting for the explorer";
        await new Promise((wake) => setTimeout(wake, 3 * POLL));
      }
    }
  }

  async #follow(id) {
    for (;;) {
      const status = await this.#status(id);
      if (this.#unheard) await this.cancel();
      if (!["waiting", "running"].includes(status.state)) return status;
      if (status.total) this.bar.value = status.done / status.total;
      if (status.state === "waiting") this.left.textContent = status.ahead ? `behind ${status.ahead} more` : "starting";
      else this.left.textContent = status.total ? timeLeft(status.seconds_left) || `${status.done} of ${status.total}` : "opening the network";
      await new Promise((wake) => setTimeout(wake, POLL));
    }
  }
}
