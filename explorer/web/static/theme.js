// Light or dark: the system's choice until a person makes their own.

import { adorn } from "./fields.js";

const KEY = "styloscope.theme";

export function mountTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let own = read();
  const button = adorn("theme", "theme", { title: "Light or dark" });
  const apply = () => {
    const dark = own ? own === "dark" : system.matches;
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  };
  button.addEventListener("click", () => {
    own = document.body.classList.contains("dark") ? "light" : "dark";
    try {
      localStorage.setItem(KEY, own);
    } catch (wrong) {
      // Without storage the choice lasts as long as the page.
      console.debug(wrong.message);
    }
    apply();
  });
  system.addEventListener("change", apply);
  // Gradio sets its own class when it starts and when the system changes.
  new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  apply();
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch (wrong) {
    console.debug(wrong.message);
    return null;
  }
}
