// A CSV file of values by seed, read here and nowhere else: any column of numbers, or of few words, colours the map.

import { reachOf } from "./panel_map_colour.js";

const MOST_BYTES = 16 << 20;
const MOST_COLUMNS = 500;
const MOST_NAMES = 24;

/** Read a CSV file; returns {name, columns: [...]} and throws a sentence on what is wrong. */
export async function readTable(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is larger than ${MOST_BYTES >> 20} MB.`);
  const [head, ...rows] = cells((await file.text()).replace(/^\uFEFF/, ""));
  const names = (head ?? []).slice(0, MOST_COLUMNS).map((name) => name.trim());
  const at = names.indexOf("seed");
  if (at < 0) throw new Error(`${file.name} has no column named seed; its first line names the columns.`);
  const seeds = rows.map((row, k) => {
    const text = (row[at] ?? "").trim();
    if (text && !/^\d{1,10}$/.test(text)) throw new Error(`${file.name}, line ${k + 2}: “${text.slice(0, 40)}” is no seed.`);
    return text ? Number(text) : null;
  });
  const found = new Map();
  const refused = new Map();
  names.forEach((name, column) => {
    if (!name || column === at || found.has(name)) return;
    try {
      found.set(name, readColumn(rows, seeds, column));
    } catch (wrong) {
      refused.set(name, wrong.message);
    }
  });
  if (!found.size) throw new Error(`${file.name} has no column of numbers, or of at most ${MOST_NAMES} different words, beside seed.`);
  return { name: file.name, columns: [...found.keys()], values: (column, count) => valuesOf(column, found.get(column), count) };
}

function readColumn(rows, seeds, column) {
  const said = new Map();
  rows.forEach((row, k) => {
    const text = (row[column] ?? "").trim();
    if (text && seeds[k] !== null) said.set(seeds[k], text);
  });
  const number = (text) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN);
  const numbers = new Map([...said].map(([seed, text]) => [seed, number(text)]));
  if ([...numbers.values()].every((value) => Math.abs(value) < 1e100)) return { names: [], said: numbers };
  const names = [...new Set(said.values())].sort();
  if (names.length > MOST_NAMES) throw new Error("too many different words");
  return { names, said: new Map([...said].map(([seed, text]) => [seed, names.indexOf(text)])) };
}

function valuesOf(column, { names, said }, count) {
  const values = Array.from({ length: count }, (_, seed) => said.get(seed) ?? null);
  return { words: column, names: names.map((name) => name.slice(0, 60)), values, reach: reachOf(values) };
}

/** The cells of CSV text, row by row; in quotes a comma, a line's end and a doubled quote stand for themselves. */
function cells(text) {
  const rows = [];
  let row = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;
  while (pattern.lastIndex < text.length) {
    const found = pattern.exec(text);
    if (!found) throw new Error("This is no CSV file: a quote is left open.");
    row.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== ",") {
      if (row.some((cell) => cell.trim())) rows.push(row);
      row = [];
    } else if (pattern.lastIndex === text.length) {
      row.push("");
    }
  }
  if (row.length) rows.push(row);
  return rows;
}
