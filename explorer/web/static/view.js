// The stage as a surface: how large the picture is shown, zoom, and the hand on it.

const MOST = 12; // times the size that fits
const TOUCH_SLOP = 6; // pixels
const SEED_WIDTH = 240; // pixels of the screen from one seed to the next
const WORTH = 3; // up to this multiple a larger picture is worth the room that the page has below the controls

/** How many dots of the screen a pixel of a picture gets in a box: a whole number, or less than one where it is larger. */
export function multiple({ width, height }, { clientWidth, clientHeight }) {
  const dots = devicePixelRatio || 1;
  const room = Math.min((clientWidth * dots) / width, (clientHeight * dots) / height);
  return room >= 1 ? Math.floor(room) : room;
}

export class View {
  #zoom = 1;
  #pointers = new Map();
  #grip = null;
  #base = 1; // dots of the screen a pixel when the whole picture is shown
  #scale = 1; // and now
  #whole = [1, 1];
  #lift = 0;

  /** drag({begin|dx, dy|end}) gets the hand's way in seeds; spare() says how many pixels higher the view may be. */
  constructor({ canvas, frame, view, drag, spare = () => 0 }) {
    Object.assign(this, { canvas, frame, view, drag, spare });
    this.context = canvas.getContext("2d", { alpha: false });
    new ResizeObserver(() => this.fit()).observe(view);
    addEventListener("resize", () => this.fit());
    view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => this.#up(event));
  }

  /** Show a picture of a network whose finished ones are `whole`, [height, width]. */
  draw(bitmap, whole = [bitmap.height, bitmap.width]) {
    const { canvas } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height || this.#whole.join() !== whole.join()) {
      this.#whole = whole;
      if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
      if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
      this.fit();
    }
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
  }

  /**
   * The largest whole multiple of real pixels that fits; a picture larger than the view is scaled down. A smaller size
   * that a network grew through takes the finished picture's place, its pixels being as much larger as it is smaller.
   */
  fit() {
    const { width, height } = this.canvas;
    const [tall, wide] = this.#whole;
    this.view.style.setProperty("--ratio", `${wide} / ${tall}`);
    this.#reach();
    const dots = devicePixelRatio || 1;
    const halvings = Math.max(0, Math.round(Math.log2(Math.max(tall / height, wide / width))));
    const alike = 2 ** halvings * multiple({ width: wide, height: tall }, this.view);
    const base = Math.min(multiple({ width, height }, this.view), alike < 1 ? alike : Math.floor(alike));
    const scale = this.#zoom === 1 ? base : Math.max(Math.floor(base) + 1, Math.round(base * this.#zoom));
    [this.#base, this.#scale] = [base, scale];
    this.canvas.style.width = `${(width * scale) / dots}px`;
    this.canvas.style.height = `${(height * scale) / dots}px`;
    this.canvas.style.imageRendering = scale >= 1 ? "pixelated" : "auto";
    this.view.classList.toggle("zoomed", this.#zoom > 1);
    this.canvas.dispatchEvent(new Event("fitted"));
  }

  /** Makes the view higher by what the next multiple lacks, where the window has that room: so a low window shows it large. */
  #reach() {
    if (this.#zoom > 1) return; // scroll bars are not the window's doing
    const [height, width] = this.#whole;
    const dots = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.view;
    const low = clientHeight - this.#lift;
    const next = Math.floor(multiple({ width, height }, { clientWidth, clientHeight: low })) + 1;
    const lacks = Math.ceil((next * height) / dots) - low;
    const room = (next * width) / dots <= clientWidth && lacks <= this.spare() + this.#lift;
    const lift = room && next <= WORTH ? lacks : 0;
    if (lift === this.#lift) return;
    this.#lift = lift;
    document.documentElement.style.setProperty("--lift", `${lift}px`);
  }

  /** Zoom by `factor` about a point of the screen (the middle when none is given); 0 shows the whole picture. */
  zoom(factor, { x, y } = {}) {
    const before = this.canvas.getBoundingClientRect();
    const seen = this.view.getBoundingClientRect();
    const [px, py] = [x ?? seen.left + seen.width / 2, y ?? seen.top + seen.height / 2];
    const [u, v] = [(px - before.left) / before.width, (py - before.top) / before.height];
    const wanted = x === undefined ? this.#pressed(factor) : this.#zoom * factor;
    this.#zoom = Math.min(MOST, Math.max(1, wanted));
    this.fit();
    const after = this.canvas.getBoundingClientRect();
    this.view.scrollLeft += after.left + u * after.width - px;
    this.view.scrollTop += after.top + v * after.height - py;
  }

  /** The zoom that a press leads to: another multiple each time, where the wheel and fingers go by less than one. */
  #pressed(factor) {
    const next = Math.round(this.#scale * factor);
    const scale = factor > 1 ? Math.max(Math.floor(this.#scale) + 1, next) : Math.min(Math.ceil(this.#scale) - 1, next);
    return scale / this.#base;
  }

  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 200), { x: event.clientX, y: event.clientY });
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) {
      this.#letGo();
      this.#grip = { pinch: this.#spread() };
    } else if (this.#pointers.size === 1) {
      this.canvas.setPointerCapture(event.pointerId);
      this.#grip = { x: event.clientX, y: event.clientY, touch: event.pointerType === "touch", walking: false };
    }
  }

  #move(event) {
    if (!this.#pointers.has(event.pointerId) || !this.#grip) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#grip.pinch) {
      const spread = this.#spread();
      this.zoom(spread.length / this.#grip.pinch.length, spread);
      this.#grip.pinch = spread;
      return;
    }
    // One finger looks around in a picture that is larger than the view.
    if (this.#grip.touch && this.#zoom > 1) return;
    const dx = event.clientX - this.#grip.x;
    // On touch, up and down belongs to the page.
    const dy = this.#grip.touch ? 0 : event.clientY - this.#grip.y;
    if (!this.#grip.walking) {
      if (Math.hypot(dx, dy) < (this.#grip.touch ? TOUCH_SLOP : 2)) return;
      this.#grip.walking = true;
      this.canvas.classList.add("held");
      this.drag({ begin: true });
    }
    // The hand drags the plane along, as a map: pulling it left brings what lies on the right.
    this.drag({ dx: -dx / SEED_WIDTH, dy: -dy / SEED_WIDTH });
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    this.#letGo();
  }

  #letGo() {
    this.canvas.classList.remove("held");
    if (this.#grip?.walking) this.drag({ end: true });
    this.#grip = null;
  }

  #spread() {
    const [one, other] = [...this.#pointers.values()];
    const length = Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    return { length, x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2 };
  }
}
