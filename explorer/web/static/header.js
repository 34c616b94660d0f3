// The header: which network, and taking the picture home as a link, a PNG, a walk or a recipe; bringing it back.

import { asked, posting } from "./asking.js";
import { goTo } from "./elsewhere.js";
import { adorn, nameGroup } from "./fields.js";
import { fetchFrame } from "./frames.js";
import { addressOf } from "./history.js";
import { isNetwork, mountOpen } from "./opening.js";
import { architectureOf, hand, offered } from "./panel_kit.js";
import { isPicture, recipeOfFile } from "./png.js";
import { full, same, short } from "./recipe.js";
import { timelineOfFile } from "./timeline_file.js";

const find = (id) => document.getElementById(id);

export function mountHeader(stage) {
  nameGroup("masthead", "Styloscope", "banner");
  mountNetworks(stage);
  mountLink(stage);
  adorn("png", "save").addEventListener("click", () => savePNG(stage, { bits: 8 }));
  mountSave(stage);
  mountDrop(stage, mountOpen(stage));
}

function mountNetworks(stage) {
  const menu = stage.menus.mount("network", (checkpoint) => goTo(stage, stage.find(checkpoint)));
  menu.addEventListener("focus", () => stage.refreshNetworks());
  stage.subscribe((recipe, network) => {
    stage.menus.show("network", { choices: offered(stage.networks), value: network?.name ?? null });
    find("network-facts").textContent = network ? factsOf(network) : "";
  });
}

function factsOf(network) {
  const { size, channels, grows, sizes } = network;
  const growth = grows ? `, grown from ${sizes[0].join(" × ")}` : "";
  // What people see is cut out of what the network makes, whose size the other controls count by.
  const cut = same(size, sizes.at(-1)) ? "" : ` of ${sizes.at(-1).join(" × ")}`;
  return `${size.join(" × ")}${cut} ${channels === 1 ? "gray" : "RGB"}, ${architectureOf(network)}${growth}`;
}

function mountLink(stage) {
  const button = adorn("link", "link");
  button.addEventListener("click", async () => {
    const address = addressOf(stage.recipe);
    try {
      await navigator.clipboard.writeText(address);
      stage.tell("Link copied");
      flash(button, "Copied");
    } catch (wrong) {
      // Browsers give the clipboard only to secure pages with the focus; the address bar has the same link.
      console.debug(wrong.message);
      history.replaceState(history.state, "", address);
      stage.tell("The link is in the address bar");
      flash(button, "In the address bar");
    }
  });
}

/** Say something on a button for a moment. */
function flash(button, text) {
  const word = [...button.childNodes].findLast((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const before = word.data;
  if (button.dataset.flash) return;
  button.dataset.flash = "1";
  word.data = text;
  setTimeout(() => {
    word.data = before;
    delete button.dataset.flash;
  }, 1500);
}

async function savePNG(stage, { bits }) {
  const recipe = stage.recipe;
  try {
    const { blob } = await fetchFrame(short(recipe), { format: "png", bits });
    stage.download(blob, `${fileName(recipe)}${bits === 8 ? "" : `-${bits}bit`}.png`);
  } catch (wrong) {
    stage.say(wrong.message);
  }
}

function fileName(recipe) {
  const name = (recipe.checkpoint ?? "network").replaceAll("/", "-");
  const parts = recipe.blend.length ? recipe.blend.map(({ seed, point }) => point ?? seed) : [recipe.point ?? recipe.seed];
  return `${name}-${parts.slice(0, 4).join("-")}`;
}

function mountSave(stage) {
  const [button, menu] = [adorn("save", "down", { after: true }), find("save-menu")];
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-controls", "save-menu");
  button.setAttribute("aria-expanded", "false");
  const items = [...menu.querySelectorAll("[role=menuitem]")];
  const films = items.filter((item) => isWalk(item.dataset.save)).map((item) => [item, item.textContent]);
  const open = (shown) => {
    menu.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    if (!shown) return;
    for (const item of items) item.disabled = isWalk(item.dataset.save) && !stage.walk;
    find("save-deep").hidden = stage.network?.channels !== 1;
    for (const [item, words] of films) item.textContent = stage.filmScale > 1 ? `${words}, ${stage.filmScale}×` : words;
    find("save-hint").hidden = Boolean(stage.walk);
    items.find((item) => !item.disabled && !item.hidden).focus();
  };
  button.addEventListener("click", () => open(menu.hidden));
  addEventListener("pointerdown", (event) => event.target.closest(".menu") || open(false));
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !event.relatedTarget.closest(".menu")) open(false);
  });
  menu.addEventListener("keydown", (event) => {
    const free = items.filter((item) => !item.disabled && !item.hidden);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      open(false);
      button.focus();
    } else if (step) {
      event.preventDefault();
      free[(free.indexOf(document.activeElement) + step + free.length) % free.length].focus();
    }
  });
  menu.addEventListener("click", (event) => {
    const kind = event.target.closest("[data-save]")?.dataset.save;
    if (!kind) return;
    open(false);
    button.focus();
    save(stage, kind);
  });
  find("restore-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) restore(stage, file);
  });
}

function isWalk(kind) {
  return !["deep", "recipe", "restore"].includes(kind);
}

function save(stage, kind) {
  if (kind === "restore") {
    find("restore-file").click();
  } else if (kind === "deep") {
    savePNG(stage, { bits: 16 });
  } else if (kind === "recipe") {
    const text = `${JSON.stringify(short(stage.recipe), null, 2)}\n`;
    stage.download(new Blob([text], { type: "application/json" }), `${fileName(stage.recipe)}.json`);
  } else {
    stage.saveWalk(kind);
  }
}

function mountDrop(stage, open) {
  const hint = find("stage-drop");
  const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  // Gradio's own upload fields keep their drops.
  const ours = (event) => carriesFile(event) && !event.target.closest?.("[data-testid*=upload], .upload-container, input[type=file]");
  addEventListener("dragover", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    hint.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) hint.hidden = true;
  });
  addEventListener("drop", async (event) => {
    hint.hidden = true;
    if (!ours(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (!file) return;
    if (await isNetwork(file)) open(file);
    else restore(stage, file);
  });
}

/** Bring back the picture that a saved PNG or JSON describes, or the timeline of a film, and say when another network made it. */
export async function restore(stage, file) {
  try {
    const film = await timelineOfFile(file);
    if (film) {
      await stage.refreshNetworks();
      return hand("timeline", { ...film, name: file.name });
    }
    const { recipe, sha, kept } = await recipeOfFile(file);
    await stage.refreshNetworks();
    let wanted = full(recipe);
    const found = stage.find(wanted.checkpoint);
    if (wanted.checkpoint && !found) {
      stage.say(`${file.name} was made with the network ${wanted.checkpoint}, which is not here.`);
      return;
    }
    if (kept) wanted = full(await unpacked(recipe, kept));
    stage.show(wanted);
    if (sha && found?.sha && sha !== found.sha) {
      stage.say(`${file.name} was made with another network named ${found.name} (${sha}, here ${found.sha}): this picture differs.`);
    } else {
      stage.tell(`Restored from ${file.name}`);
    }
  } catch (wrong) {
    if (wrong.bare && stage.network && (await isPicture(file))) offerToProject(stage, file);
    else stage.say(wrong.message);
  }
}

/** The recipe with the names that the points and directions enclosed beside it have here; the server keeps those it lacks. */
async function unpacked(recipe, kept) {
  const found = await asked("restore", posting({ recipe, kept }));
  for (const name of found.kept.length ? ["points-changed", "directions-changed"] : []) document.dispatchEvent(new CustomEvent(name, { detail: {} }));
  return found.recipe;
}

/** A picture that nothing of ours is in may be somebody's own. */
function offerToProject(stage, file) {
  stage.offer(`${file.name} carries no recipe. Find it in this network?`, {
    words: "Project it",
    act: () => document.dispatchEvent(new CustomEvent("project-offered", { detail: file })),
  });
}
