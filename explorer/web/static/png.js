// Reading a recipe out of a PNG: the text chunk named "styloscope", as tEXt, zTXt or iTXt; and "styloscope-kept", what it
// encloses beside it.

import { decoded } from "./frames.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const KEY = "styloscope";
const KEPT = "styloscope-kept";
const TIFF = ["II*\0", "MM\0*"];

/**
 * The recipe in a dropped file (PNG or JSON) as {recipe, sha, kept}; `kept` are the points and directions that a PNG encloses,
 * else null. Throws an Error with one sentence, `bare` where nothing of ours is in it.
 */
export async function recipeOfFile(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isPNG = SIGNATURE.every((byte, index) => bytes[index] === byte);
  const text = isPNG ? await textChunk(bytes, KEY) : new TextDecoder().decode(bytes.subarray(0, 1 << 20));
  if (text === null) throw Object.assign(new Error(`${file.name} carries no recipe; only pictures that Styloscope saved do.`), { bare: true });
  const told = parsed(text);
  if (!told || typeof told !== "object" || Array.isArray(told)) {
    throw Object.assign(new Error(`${file.name} is not a picture or a recipe that Styloscope saved.`), { bare: !isPNG });
  }
  const { sha = null, ...recipe } = told;
  return { recipe, sha, kept: isPNG ? parsed(await textChunk(bytes, KEPT)) : null };
}

/** JSON's value; null where there is none. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Whether a file is a picture. Browsers do not show TIFF, which the explorer reads. */
export async function isPicture(file) {
  if (TIFF.includes(new TextDecoder("latin1").decode(await file.slice(0, 4).arrayBuffer()))) return true;
  try {
    (await decoded(file)).close();
    return true;
  } catch (wrong) {
    console.debug(wrong.message);
    return false;
  }
}

async function textChunk(bytes, key) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    const found = kind === "IEND" ? null : await textOf(kind, data, key);
    if (found !== null) return found;
    at += 12 + length;
  }
  return null;
}

async function textOf(kind, data, key) {
  if (!["tEXt", "zTXt", "iTXt"].includes(kind)) return null;
  const end = data.indexOf(0);
  if (end < 0 || new TextDecoder("latin1").decode(data.subarray(0, end)) !== key) return null;
  if (kind === "tEXt") return new TextDecoder("latin1").decode(data.subarray(end + 1));
  if (kind === "zTXt") return new TextDecoder("latin1").decode(await inflate(data.subarray(end + 2)));
  const packed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const translated = data.indexOf(0, language + 1);
  const text = data.subarray(translated + 1);
  return new TextDecoder().decode(packed ? await inflate(text) : text);
}

async function inflate(data) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
