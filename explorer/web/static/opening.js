// Open...: a network file from this computer goes to the server, which reads it, makes it ours and keeps it; then it is shown.

import { goTo } from "./elsewhere.js";
import { timeLeft } from "./panel_kit.js";

const LIMIT = 512 * 2 ** 20; // bytes
const find = (id) => document.getElementById(id);
const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);

/** Returns what opens a file that came another way, such as a drop. */
export function mountOpen(stage) {
  const [button, box] = [find("open"), find("open-box")];
  const [choose, cancel] = ["choose", "cancel"].map((name) => box.querySelector(`[data-open=${name}]`));
  let sending = null;
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-controls", "open-box");
  button.setAttribute("aria-expanded", "false");
  const show = (shown) => {
    box.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    if (!shown) return;
    if (!sending) say("");
    (sending ? cancel : choose).focus();
  };
  const hide = () => {
    show(false);
    button.focus();
  };
  button.addEventListener("click", () => show(box.hidden));
  // While a file is under way the box stays: it has the only Cancel.
  addEventListener("pointerdown", ({ target }) => sending || box.hidden || target.closest("#open-column") || show(false));
  box.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  choose.addEventListener("click", () => find("open-file").click());
  cancel.addEventListener("click", () => sending?.abort());
  const open = async (file) => {
    if (sending) return;
    show(true);
    if (file.size > LIMIT) return say(`${file.name} has ${megabytes(file.size)} MB; a network file has at most 512.`, true);
    sending = new XMLHttpRequest();
    working(true);
    cancel.focus();
    try {
      const { name, notes } = await send(sending, file);
      await stage.refreshNetworks();
      const network = stage.find(name);
      if (!network) return say(`${name} is open, but the explorer does not answer; choose it above when it does.`, true);
      goTo(stage, network, `${name} is open`);
      say([`${name} is open.`, ...notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`)].join(" "));
      if (!notes.length) hide();
    } catch (wrong) {
      say(wrong.message, wrong.message !== "Cancelled.");
    } finally {
      sending = null;
      working(false);
      if (!box.hidden) choose.focus();
    }
  };
  find("open-file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) open(file);
    target.value = "";
  });
  return open;
}

/** Whether a file begins as those of networks do: a pickle, a zip, or a length and a table; all else is taken for a recipe. */
export async function isNetwork(file) {
  const head = new Uint8Array(await file.slice(0, 9).arrayBuffer());
  const zip = head[0] === 0x50 && head[1] === 0x4b;
  // The length before our own table has zeros in it, as no text has: [{ of a recipe may stand at the same place.
  const ours = head.subarray(0, 8).includes(0) && head[8] === "{".charCodeAt(0);
  return zip || head[0] === 0x80 || ours;
}

function send(request, file) {
  const bar = find("open-work").querySelector("progress");
  const began = performance.now();
  const reading = () => {
    bar.removeAttribute("value");
    find("open-words").textContent = `Reading ${file.name}`;
    find("open-left").textContent = "";
  };
  find("open-words").textContent = `Sending ${file.name}`;
  find("open-left").textContent = "";
  bar.value = 0;
  return new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      const seconds = (performance.now() - began) / 1000;
      const left = seconds > 1 ? `, ${timeLeft((seconds / loaded) * (total - loaded))}` : "";
      find("open-left").textContent = `${megabytes(loaded)} of ${megabytes(total)} MB${left}`;
    });
    request.upload.addEventListener("load", reading);
    request.addEventListener("load", () => {
      const said = request.response ?? { error: `The server answered ${request.status}.` };
      if (request.status === 201) resolve(said);
      else reject(new Error(said.error));
    });
    request.addEventListener("error", () => reject(new Error("The upload broke off; is the explorer still running?")));
    request.addEventListener("abort", () => reject(new Error("Cancelled.")));
    request.open("POST", `open?${new URLSearchParams({ name: file.name })}`);
    request.responseType = "json";
    request.send(file);
  });
}

function working(now) {
  find("open-work").hidden = !now;
  find("open-choose").hidden = now;
  if (now) say("");
}

function say(sentence, wrong = false) {
  const place = find("open-said");
  place.textContent = sentence;
  place.classList.toggle("wrong", wrong);
}
