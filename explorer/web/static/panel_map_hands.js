// Drags over the map that Plotly does not do: drawing a line, and moving the map.

const APART = 3; // pixels between two corners of a drawn line
const MOST_CORNERS = 1500;

/** Draw lines while `on()`: begin(), drawing(places so far), drawn(places), or drawn(null) where it was no line. */
export function drawing(plot, { on, begin, drawing: going, drawn }) {
  let line = null;
  const corner = ({ clientX, clientY }) => {
    const box = plot.root.getBoundingClientRect();
    return [clientX - box.left - plot.root.clientLeft, clientY - box.top - plot.root.clientTop];
  };
  const place = (at) => plot.view().place(...at);
  const finish = (keep) => {
    const done = line;
    line = null;
    if (done) drawn(keep && done.places.length > 2 ? done.places : null);
  };
  plot.host.addEventListener("pointerdown", (event) => {
    if (!on() || event.button) return;
    begin();
    plot.host.setPointerCapture(event.pointerId);
    line = { last: corner(event), places: [place(corner(event))] };
  });
  plot.host.addEventListener("pointermove", (event) => {
    const at = corner(event);
    if (!line || Math.hypot(at[0] - line.last[0], at[1] - line.last[1]) < APART || line.places.length >= MOST_CORNERS) return;
    line.last = at;
    line.places.push(place(at));
    going(line.places);
  });
  plot.host.addEventListener("pointerup", () => finish(true));
  plot.host.addEventListener("pointercancel", () => finish(false));
}

/**
 * Move the map while `on()`: moved([x, y] in pixels since the hand went down), rest(again) once it is let go, where again() says
 * whether it has begun once more. Plotly would draw all dots anew by WebGL at each step; plain squares on a canvas are several
 * times as fast where there is no graphics card.
 */
export function moving(plot, { on, still, moved, rest }) {
  let from = null;
  plot.host.addEventListener("pointerdown", ({ button, clientX, clientY }) => {
    if (on() && !button) from = [clientX, clientY];
  });
  addEventListener("pointermove", ({ clientX, clientY }) => {
    if (!from) return;
    const shift = [clientX - from[0], clientY - from[1]];
    if (plot.moving || Math.hypot(...shift) >= still) moved(shift);
  });
  const finish = () => {
    from = null;
    if (plot.moving) rest(() => from !== null);
  };
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, finish);
}
