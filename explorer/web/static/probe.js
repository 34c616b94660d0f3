// What the pixel under the pointer holds: its level or what that stands for, and its place, counted from the top left.

const PART = 257; // of the 65,535 levels that an intensity counts, in one of a picture of 8 bits

/** What a pixel's `levels` say in a network's pictures; the digits that one level more would change are the last. */
export function said(levels, { channels, intensity }) {
  if (channels !== 1 || !intensity) return `level ${levels.slice(0, channels).join(", ")}`;
  const step = intensity.slope * PART;
  const value = written(step * levels[0] + intensity.intercept, -Math.floor(Math.log10(Math.abs(step))));
  return intensity.unit ? `${value} ${intensity.unit}` : `value ${value}`;
}

/** A number with so many digits behind the point, with an exponent where that would be more than nine of them. */
function written(value, digits) {
  if (digits <= 9) return value.toFixed(Math.max(0, digits)).replace(/^-(?=[0.]+$)/, "");
  const left = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value))) + digits;
  return value.toExponential(Math.min(15, Math.max(0, left)));
}

/** Tell it of the exact picture alone: a preview's levels are a codec's. */
export function mountProbe(stage) {
  const place = document.getElementById("probe");
  const { canvas } = stage.view;
  // A copy to read from, made when somebody points: reading the stage itself would make drawing on it slow.
  const copy = document.createElement("canvas").getContext("2d", { alpha: false, willReadFrequently: true });
  let [at, stale, network] = [null, true, null];
  const tell = () => {
    if (!at || !network || canvas.dataset.exact !== "true") return void (place.textContent = "");
    if (stale) {
      [copy.canvas.width, copy.canvas.height, stale] = [canvas.width, canvas.height, false];
      copy.drawImage(canvas, 0, 0);
    }
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const [x, y] = [((at.x - left) * canvas.width) / width, ((at.y - top) * canvas.height) / height].map(Math.floor);
    const inside = x >= 0 && y >= 0 && x < canvas.width && y < canvas.height;
    place.textContent = inside ? `${said([...copy.getImageData(x, y, 1, 1).data], network)} at ${x}, ${y}` : "";
  };
  const point = ({ clientX, clientY }) => {
    at = { x: clientX, y: clientY };
    tell();
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("click", point); // a finger's tap, which leaves before it clicks
  canvas.addEventListener("pointerleave", () => {
    at = null;
    tell();
  });
  // The picture moves under a pointer that rests, too: zoomed, scrolled, or larger with the window.
  stage.view.view.addEventListener("scroll", tell, { passive: true });
  canvas.addEventListener("fitted", tell);
  canvas.addEventListener("drawn", ({ detail }) => {
    stale = true;
    network = stage.find(detail.recipe.checkpoint) ?? stage.network; // of what is shown, whatever is on its way
    tell();
  });
}
