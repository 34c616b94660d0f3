// Values -> colours of dots, told apart by people with any kind of colour vision and on light and dark ground.

// Okabe & Ito 2008, each a little darker on light ground; atlas_picture.py has the dark ones.
const PALETTE = {
  dark: ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#999999"],
  light: ["#2b8cc4", "#b87700", "#007d5b", "#b8578f", "#8c8200", "#00548a", "#c04d00", "#6b6b6b"],
};
// From blue to yellow or orange; lightness rises evenly, and both ends stand out from the ground.
const RAMP = {
  dark: [[84, 118, 204], [84, 142, 196], [112, 164, 178], [152, 184, 154], [200, 206, 124], [248, 228, 92]],
  light: [[24, 48, 128], [36, 88, 148], [72, 116, 136], [122, 130, 100], [172, 128, 48], [216, 124, 4]],
};
const STEPS = 64;

/** The colour of one of `count` names; beyond the palette by the golden angle. */
export function colourOf(index, count, dark) {
  const palette = dark ? PALETTE.dark : PALETTE.light;
  return count <= palette.length ? palette[index] : `hsl(${(137.508 * index + 200) % 360}, 70%, ${dark ? 64 : 40}%)`;
}

/** The colour of a share, 0 to 1, of the way from the lowest to the highest value. */
function rampColour(share, dark) {
  const stops = dark ? RAMP.dark : RAMP.light;
  const at = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const [low, high] = [stops[Math.floor(at)], stops[Math.ceil(at)]];
  return `rgb(${low.map((part, k) => Math.round(part + (high[k] - part) * (at % 1))).join(",")})`;
}

/** The whole ramp as a CSS background. */
export function rampGradient(dark) {
  const stops = dark ? RAMP.dark : RAMP.light;
  return `linear-gradient(to right, ${stops.map((colour) => `rgb(${colour.join(",")})`).join(", ")})`;
}

/** {colours, labels} of the dots of {values, names, reach}; those without a value are `none`, and of label null. */
export function painted({ values, names, reach: [low, high] }, dark, none) {
  if (names.length) {
    const palette = names.map((_, index) => colourOf(index, names.length, dark));
    return { labels: values, colours: values.map((value) => (value === null ? none : palette[value])) };
  }
  const steps = Array.from({ length: STEPS }, (_, k) => rampColour(k / (STEPS - 1), dark));
  const span = high - low || 1;
  const step = (value) => Math.round(Math.min(1, Math.max(0, (value - low) / span)) * (STEPS - 1));
  return { labels: values.map((value) => (value === null ? null : 0)), colours: values.map((value) => (value === null ? none : steps[step(value)])) };
}

/** A value as people read it. */
export function told({ values, names }, seed) {
  const value = values[seed];
  if (value === null || value === undefined) return "";
  return names.length ? names[value] : short(value);
}

export function short(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(3)).toString();
}

/** Values that ends are found for, as the server finds them: at 1 and 99 per cent, so that a few strange seeds do not take all colours. */
export function reachOf(values) {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other);
  if (!known.length) return [0, 1];
  const at = (share) => {
    const place = share * (known.length - 1);
    const [low, high] = [known[Math.floor(place)], known[Math.ceil(place)]];
    return low + (high - low) * (place % 1);
  };
  const [low, high] = [at(0.01), at(0.99)];
  return high > low ? [low, high] : [known[0], known.at(-1)];
}
