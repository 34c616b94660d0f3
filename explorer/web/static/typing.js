// What may be typed into a field for numbers: a comma counts as a point, and what is in no number never takes the place of
// the number that is there.

const PART = /^[-+\d.]+$/;
const DECIMAL = Intl.NumberFormat().formatToParts(0.5).find(({ type }) => type === "decimal").value;

/** Keep what is no number out of an <input type="number">, which would else be emptied by it. */
export function onlyNumbers(input) {
  input.addEventListener("beforeinput", (event) => {
    const typed = event.data ?? event.dataTransfer?.getData("text/plain");
    if (typed == null) return;
    const meant = typed.trim().replaceAll("−", "-").replace(",", ".");
    // Browsers that write numbers with a comma read it as one themselves.
    if (meant === typed || (DECIMAL === "," && typed === ",")) {
      if (!PART.test(meant) && typed !== ",") event.preventDefault();
      return;
    }
    event.preventDefault();
    // The caret of a field for numbers is hidden from scripts; this writes where it stands.
    if (PART.test(meant)) document.execCommand("insertText", false, meant);
  });
}
