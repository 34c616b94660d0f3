// The timeline inside a saved film, or in a JSON of its own. GIF: a comment before the first picture; WebP: the ImageDescription of
// its EXIF; MP4: its comment tag. Read in small pieces, whatever the file says of itself: core/carried.py has the same rules.

import { full, isRecipe } from "./recipe.js";

const MARK = "styloscope ";
const MOST_TEXT = 1 << 20; // bytes
const MOST_BLOCKS = 20_000;
const BOXES = ["moov", "udta", "meta", "ilst", "\u00a9cmt", "data"];
export const MOST_KEYS = 256;
export const EASES = { linear: "even", smooth: "rests at both", in: "starts slowly", out: "ends slowly", hold: "waits, then jumps" };

/** {line, shas} of a film or of a timeline's JSON; null for any other file; throws a sentence for a film without one, `bare` as in png.js. */
export async function timelineOfFile(file) {
  const kind = kindOf(await piece(file, 0, 12));
  if (!kind && file.size > MOST_TEXT) return null;
  const text = kind ? await carried(file, kind) : await file.text();
  if (text === null) throw Object.assign(new Error(`${file.name} carries no timeline; only films that Styloscope saved do.`), { bare: true });
  const told = parsed(text);
  if (!kind && !Array.isArray(told?.keys)) return null;
  return read(told, file.name);
}

/** A timeline's JSON value as the page holds it, {line, shas}; throws a sentence. What a recipe may be, the server says. */
export function read(told, name = "This timeline") {
  const keys = told?.keys;
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const fits = (key) => isObject(key) && isRecipe(key.recipe) && Number.isFinite(key.time);
  if (!Array.isArray(keys) || keys.length > MOST_KEYS || !keys.every(fits)) {
    throw new Error(`${name} is no timeline: it needs at most ${MOST_KEYS} keys, each with a recipe and a time.`);
  }
  const shas = new Map();
  const own = keys.map(({ recipe: { sha, ...recipe }, time, ease = "linear" }) => {
    if (sha) shas.set(recipe.checkpoint, sha);
    return { recipe: full(recipe), time: Math.max(0, time), ease: String(ease) };
  });
  own.sort((one, other) => one.time - other.time);
  const twice = own.find(({ time }, index) => time === own[index - 1]?.time);
  if (twice) throw new Error(`${name} has two keys at ${twice.time} s.`);
  const { fps = 24, loop = false, spline = "linear", space = "w", duration = null } = told;
  const known = fps >= 0.1 && fps <= 240 && ["linear", "catmull-rom"].includes(spline) && ["w", "z"].includes(space) && (duration === null || duration >= own.at(-1)?.time);
  if (!known || own.some(({ ease }) => !Object.hasOwn(EASES, ease))) throw new Error(`${name} says what this page does not know: a frame rate, a way, an ease or a length.`);
  const settings = { fps: Number(fps), loop: Boolean(loop), spline, space, duration };
  return { line: { ...settings, keys: own }, shas };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function piece(file, start, length) {
  return new Uint8Array(await file.slice(start, start + length).arrayBuffer());
}

const latin = (bytes) => new TextDecoder("latin1").decode(bytes);
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function kindOf(head) {
  const words = latin(head);
  if (/^GIF8[79]a/.test(words)) return "gif";
  if (words.startsWith("RIFF") && words.slice(8) === "WEBP") return "webp";
  return words.slice(4, 8) === "ftyp" ? "mp4" : null;
}

async function carried(file, kind) {
  try {
    const bytes = await { gif: ofGIF, webp: ofWebP, mp4: ofMP4 }[kind](file);
    const text = bytes ? latin(bytes).replace(/\0+$/, "") : "";
    return text.startsWith(MARK) ? text.slice(MARK.length) : null;
  } catch (wrong) {
    // Cut off, or not what it seems: nothing of ours.
    console.debug(wrong.message);
    return null;
  }
}

async function ofGIF(file) {
  const bytes = await piece(file, 0, 2 * MOST_TEXT);
  let at = 13 + (bytes[10] & 0x80 ? 3 * 2 ** ((bytes[10] & 7) + 1) : 0);
  while (bytes[at] === 0x21) {
    const comment = bytes[at + 1] === 0xfe;
    const found = [];
    at += 2;
    while (bytes[at]) {
      found.push(bytes.subarray(at + 1, at + 1 + bytes[at]));
      at += bytes[at] + 1;
    }
    at += 1;
    const text = comment ? new Uint8Array(await new Blob(found).arrayBuffer()) : null;
    if (text && latin(text.subarray(0, MARK.length)) === MARK) return text;
  }
  return null;
}

async function ofWebP(file) {
  let at = 12;
  for (let block = 0; block < MOST_BLOCKS && at + 8 <= file.size; block++) {
    const head = await piece(file, at, 8);
    const length = view(head).getUint32(4, true);
    if (latin(head.subarray(0, 4)) === "EXIF") return description(await piece(file, at + 8, Math.min(length, MOST_TEXT + 256)));
    at += 8 + length + (length % 2);
  }
  return null;
}

/** The ImageDescription in the first directory of a TIFF. */
function description(bytes) {
  const data = latin(bytes.subarray(0, 6)) === "Exif\0\0" ? bytes.slice(6) : bytes;
  const little = latin(data.subarray(0, 4)) === "II*\0";
  if (!little && latin(data.subarray(0, 4)) !== "MM\0*") return null;
  const tiff = view(data);
  const start = tiff.getUint32(4, little);
  const count = tiff.getUint16(start, little);
  for (let place = start + 2; place < start + 2 + 12 * count; place += 12) {
    const [length, at] = [tiff.getUint32(place + 4, little), tiff.getUint32(place + 8, little)];
    const ours = tiff.getUint16(place, little) === 0x010e && tiff.getUint16(place + 2, little) === 2;
    if (ours && at + length <= data.length) return data.subarray(at, at + length);
  }
  return null;
}

async function ofMP4(file) {
  let [start, end] = [0, file.size];
  for (const name of BOXES) {
    const inside = await boxIn(file, start, end, name);
    if (!inside) return null;
    [start, end] = inside;
    if (name === "meta") start += 4; // its version and flags
  }
  return piece(file, start + 8, Math.min(end - start - 8, MOST_TEXT));
}

/** Where the content of the first box of that name begins and ends. */
async function boxIn(file, start, end, name) {
  for (let block = 0; block < MOST_BLOCKS && start + 8 <= end; block++) {
    const head = await piece(file, start, 16);
    let [length, header] = [view(head).getUint32(0), 8];
    if (length === 1) [length, header] = [Number(view(head).getBigUint64(8)), 16];
    const last = length === 0 ? end : start + length;
    if (last < start + header || last > end) return null;
    if (latin(head.subarray(4, 8)) === name) return [start + header, last];
    start = last;
  }
  return null;
}
