// How far two pictures lie apart, pixel by pixel, in gray levels of 0 to 255. Pure functions on ImageData.

const EQUAL = 128; // the gray of a signed difference where there is none

/** {mean, largest} over all pixels and colours, signs left out; null where the sizes differ. */
export function apart(left, right) {
  if (left.width !== right.width || left.height !== right.height) return null;
  let [sum, largest] = [0, 0];
  const [a, b] = [left.data, right.data];
  for (let k = 0; k < a.length; k++) {
    const distance = Math.abs(b[k] - a[k]); // alpha is the same in both
    sum += distance;
    if (distance > largest) largest = distance;
  }
  return { mean: sum / (3 * left.width * left.height), largest };
}

/** The difference as ImageData: signed around gray 128, brighter where the right one is; or absolute, black where equal. */
export function pictured(left, right, { amplify, signed }) {
  const found = new ImageData(left.width, left.height);
  const [a, b, to] = [left.data, right.data, found.data];
  for (let k = 0; k < to.length; k++) {
    const distance = amplify * (b[k] - a[k]);
    to[k] = k % 4 === 3 ? 255 : signed ? EQUAL + distance : Math.abs(distance); // clamped by its kind
  }
  return found;
}
