// From recipe to picture: one request under way, one waiting, the newest always wins and is always shown.

import { SILENT } from "./asking.js";

export const REST = 120; // ms without a change after which the hand counts as resting
export const AGAIN = 2000; // ms until a server that did not answer is asked again

function tabName() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("");
}

class FrameError extends Error {}

/** Fetch one picture. Returns {blob, milliseconds, precision, device}; throws FrameError with the server's sentence. */
export async function fetchFrame(recipe, { format, size, bits, client, precision, signal }) {
  const query = new URLSearchParams({ format });
  if (precision) query.set("precision", precision);
  if (size) query.set("size", size);
  if (bits) query.set("bits", bits);
  if (client) query.set("client", client);
  let answer, blob;
  try {
    answer = await fetch(`frame?${query}`, { method: "POST", body: JSON.stringify(recipe), signal });
    if (answer.ok) blob = await answer.blob();
  } catch (wrong) {
    if (wrong.name === "AbortError") throw wrong;
    const silent = new FrameError(`${SILENT} This page goes on asking.`);
    silent.again = true;
    throw silent;
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    const wrong = new FrameError(told.error ?? `The explorer answered ${answer.status}.`);
    wrong.superseded = answer.status === 409;
    wrong.refused = answer.status >= 400 && answer.status < 500;
    throw wrong;
  }
  return {
    blob,
    milliseconds: Number(/dur=([\d.]+)/.exec(answer.headers.get("Server-Timing") ?? "")?.[1] ?? NaN),
    precision: answer.headers.get("Styloscope-Precision"),
    device: answer.headers.get("Styloscope-Device"),
  };
}

/** The pixels of a picture as they are in its file. */
export function decoded(blob) {
  return createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
}

export class Frames {
  #client = tabName();
  #busy = false;
  #waiting = null;
  #newest = "";
  #previewsPay = true;
  #showing = Promise.resolve();
  #rest = 0;
  #small = [];
  #smallBusy = false;

  /** show(bitmap, {recipe, exact, milliseconds, precision, device}) and fail(sentence, {recipe, refused}) are called in order. */
  constructor({ show, fail }) {
    this.show = show;
    this.fail = fail;
  }

  /** Ask for `recipe`: a preview first where that is faster, the exact picture once the hand rests. */
  ask(recipe, { moving }) {
    clearTimeout(this.#rest);
    const key = JSON.stringify(recipe);
    const preview = moving || (key !== this.#newest && this.#previewsPay);
    this.#newest = key;
    this.#waiting = { recipe, exact: !preview, followed: preview && !moving };
    if (moving) this.#rest = setTimeout(() => this.ask(recipe, { moving: false }), REST);
    this.#next();
  }

  /** A small picture, drawn when the stage itself has nothing to do. Returns a Promise of a Blob. */
  picture(recipe, { size, signal } = {}) {
    return new Promise((resolve, reject) => {
      this.#small.push({ recipe, size, signal, resolve, reject });
      this.#nextSmall();
    });
  }

  async #next() {
    if (this.#busy || !this.#waiting) return;
    this.#busy = true;
    const wish = this.#waiting;
    this.#waiting = null;
    try {
      const frame = await fetchFrame(wish.recipe, { format: wish.exact ? "png" : "jpeg", client: this.#client });
      if (!wish.exact) this.#previewsPay = frame.precision !== "float32";
      if (wish.followed) this.#waiting ??= { recipe: wish.recipe, exact: true };
      // The next picture is asked for while this one is decoded; no more than one waits to be shown.
      await this.#showing;
      this.#showing = this.#display(frame, wish);
    } catch (wrong) {
      // An older picture that is still being decoded must not wipe the sentence away.
      await this.#showing;
      this.#failed(wrong, wish);
    } finally {
      this.#busy = false;
    }
    this.#next();
    this.#nextSmall();
  }

  async #display(frame, wish) {
    try {
      const bitmap = await decoded(frame.blob);
      this.show(bitmap, { ...frame, ...wish });
    } catch (wrong) {
      this.fail(`The picture could not be shown (${wrong.message}).`, { recipe: wish.recipe, refused: false });
    }
  }

  #failed(wrong, wish) {
    if (wrong.superseded) {
      this.#waiting ??= wish;
    } else if (!this.#waiting) {
      clearTimeout(this.#rest);
      this.fail(wrong.message, { recipe: wish.recipe, refused: Boolean(wrong.refused) });
      if (wrong.again) this.#rest = setTimeout(() => this.ask(wish.recipe, { moving: false }), AGAIN);
    }
  }

  async #nextSmall() {
    if (this.#smallBusy || this.#busy || this.#waiting) return;
    const wish = this.#small.shift();
    if (!wish) return;
    this.#smallBusy = true;
    try {
      wish.signal?.throwIfAborted();
      const { size, signal } = wish;
      wish.resolve((await fetchFrame(wish.recipe, { format: "webp", size, signal })).blob);
    } catch (wrong) {
      wish.reject(wrong);
    } finally {
      this.#smallBusy = false;
    }
    this.#nextSmall();
  }
}
