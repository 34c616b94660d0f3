// How far held-out pictures lie from what was trained on, as bars from 0 to the farthest, and where the stage lies among them.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, FLOOR] = [480, 94, 72];

function s(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An SVG of `bars` {most, counts} with a mark at `distance`; `held` says how many there are. */
export function bars({ bars: { most, counts }, distance, held }) {
  const end = Math.max(most, distance) * 1.02;
  const x = (value) => (WIDTH * value) / end;
  const highest = Math.max(...counts, 1);
  const wide = x(most / counts.length);
  const words = `Distances of ${held.count} held-out pictures to the nearest training picture: from ${held.least.toFixed(1)} to ${held.most.toFixed(1)} gray levels, half of them below ${held.median.toFixed(1)}. The stage is at ${distance.toFixed(1)}.`;
  const drawn = counts.map((count, k) => s("rect", { x: x((k * most) / counts.length) + 0.5, width: Math.max(0.5, wide - 1), y: FLOOR - (count / highest) * (FLOOR - 18), height: (count / highest) * (FLOOR - 18) }));
  const place = x(distance);
  const anchor = place < 40 ? "start" : place > WIDTH - 40 ? "end" : "middle";
  return s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    s("g", { class: "bars" }, ...drawn),
    s("line", { class: "floor", x1: 0, x2: WIDTH, y1: FLOOR + 0.5, y2: FLOOR + 0.5 }),
    s("line", { class: "mark", x1: place, x2: place, y1: 14, y2: FLOOR + 4 }),
    s("text", { class: "mark-words", x: place, y: 11, "text-anchor": anchor }, `stage ${distance.toFixed(1)}`),
    s("text", { x: 0, y: HEIGHT - 5 }, "0, the same"),
    s("text", { x: WIDTH, y: HEIGHT - 5, "text-anchor": "end" }, `held-out pictures, to ${held.most.toFixed(1)} gray levels`),
  );
}
