// A table of seeds or files and a value of each, dropped or chosen, and the direction along which the value grows.

import { nameGroup } from "./fields.js";
import { button, h } from "./panel_kit.js";
import { Making } from "./panel_steer_piles.js";

const LARGEST = 900_000; // bytes
const KEYS = ["seed", "file", "point", "class", "label"]; // columns that say which picture it is

export function mountTable(stage, directions, found) {
  const root = nameGroup("steer-table", "Direction from a table", "region");
  let text = "";
  const file = h("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv", hidden: true, "aria-label": "A table" });
  const told = h("span", { class: "hint", role: "status" }, "CSV with a column “seed” or “file” and one of values: an age, a rating, two words.");
  const column = h("select", { "aria-label": "Column of values", hidden: true });
  const name = h("input", { class: "name", maxlength: 80, "aria-label": "Name of the table's direction", placeholder: "Name", autocomplete: "off", spellcheck: "false" });
  const go = button("Make the direction", { kind: "plain strong", press: () => make() });
  const zone = h("div", { class: "row wrap drop" }, button("Open a table…", { press: () => file.click() }), told);
  const rest = h("div", { class: "row wrap", hidden: true }, column, name, go);
  const place = h("div", { class: "part" });
  document.getElementById("steer-table-rest").append(zone, rest, place, file);
  const making = new Making(stage, directions, found, place);
  // The page takes a dropped file for a network or a picture, and says so over the stage.
  const mine = (event) => {
    event.preventDefault();
    event.stopPropagation();
    document.getElementById("stage-drop").hidden = true;
  };

  const make = () => making.run({ name: name.value.trim(), method: "labels", labels: text, ...(column.value ? { column: column.value } : {}) }, { words: "Fitting the table", field: name });
  const open = async (chosen) => {
    if (!chosen) return;
    if (chosen.size > LARGEST) return making.say(`${chosen.name} has ${chosen.size} bytes; on the page a table has at most ${LARGEST}. The command “directions --labels” takes larger ones.`);
    text = await chosen.text();
    const columns = columnsOf(text);
    column.replaceChildren(...columns.map((one) => h("option", { value: one }, one)));
    column.hidden = columns.length < 2;
    name.value = columns[0] ?? "";
    told.textContent = `${chosen.name}: ${Math.max(0, text.trim().split("\n").length - 1)} rows${columns.length ? "" : "; it names no column of values"}`;
    rest.hidden = false;
  };
  column.addEventListener("change", () => (name.value = column.value));
  file.addEventListener("change", () => {
    open(file.files[0]);
    file.value = "";
  });
  root.addEventListener("dragover", (event) => {
    mine(event);
    zone.classList.add("over");
  });
  root.addEventListener("dragleave", () => zone.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    mine(event);
    zone.classList.remove("over");
    open(event.dataTransfer.files[0]);
  });
}

/** The columns of a table that may hold values; what counts is what the server says of it. */
function columnsOf(text) {
  const head = text.replace(/^\ufeff/, "").trimStart().split(/\r?\n/, 1)[0];
  const mark = [",", ";", "\t"].reduce((best, one) => (head.split(one).length > head.split(best).length ? one : best));
  const cells = head.split(mark).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
  return cells.filter((cell) => cell && !KEYS.includes(cell.toLowerCase()) && !/^\d+$/.test(cell));
}
