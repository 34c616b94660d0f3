// How close the dots lie, as a shade: counted on a grid, smoothed, drawn in the ink of the page.

const CELLS = 128;
const SPREAD = 3; // cells, the deviation of the Gaussian
const MOST = 0.42; // opacity where dots lie closest

/** {canvas, low, high}: a small picture that covers the map from `low` [x, y] to `high`. */
export function shading({ x, y }, ink) {
  const reach = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const [[left, right], [bottom, top]] = [reach(x), reach(y)];
  const margin = 0.08 * Math.max(right - left, top - bottom, 1e-9);
  const [low, high] = [[left - margin, bottom - margin], [right + margin, top + margin]];
  const counts = new Float32Array(CELLS * CELLS);
  const cell = (value, axis) => Math.min(CELLS - 1, Math.floor((CELLS * (value - low[axis])) / (high[axis] - low[axis])));
  for (let k = 0; k < x.length; k++) counts[(CELLS - 1 - cell(y[k], 1)) * CELLS + cell(x[k], 0)] += 1;
  return { canvas: painted(blurred(blurred(counts, 1), CELLS), ink), low, high };
}

/** The counts smoothed along one axis; `step` is 1 along rows and CELLS along columns. */
function blurred(counts, step) {
  const weights = Array.from({ length: 6 * SPREAD + 1 }, (_, k) => Math.exp(-((k - 3 * SPREAD) ** 2) / (2 * SPREAD ** 2)));
  const across = step === 1 ? CELLS : 1;
  const found = new Float32Array(counts.length);
  for (let line = 0; line < CELLS; line++) {
    for (let at = 0; at < CELLS; at++) {
      let sum = 0;
      for (let k = -3 * SPREAD; k <= 3 * SPREAD; k++) {
        if (at + k >= 0 && at + k < CELLS) sum += weights[k + 3 * SPREAD] * counts[line * across + (at + k) * step];
      }
      found[line * across + at * step] = sum;
    }
  }
  return found;
}

function painted(density, ink) {
  const canvas = new OffscreenCanvas(CELLS, CELLS);
  const pen = canvas.getContext("2d");
  pen.fillStyle = ink;
  pen.fillRect(0, 0, CELLS, CELLS);
  const picture = pen.getImageData(0, 0, CELLS, CELLS);
  const most = density.reduce((one, other) => Math.max(one, other), 1e-9);
  density.forEach((value, k) => (picture.data[4 * k + 3] = 255 * MOST * Math.sqrt(value / most)));
  pen.putImageData(picture, 0, 0);
  return canvas;
}
