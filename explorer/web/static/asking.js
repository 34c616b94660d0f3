// Questions to the explorer: an answer, or an error whose message is the sentence to show.

export const SILENT = "The explorer does not answer; is it still running?";

/** The answer of an address, whatever it says. Throws SILENT, marked `silent`, where there is none. */
export async function heard(address, options, ask = window.fetch) {
  try {
    return await ask.call(window, address, options);
  } catch (wrong) {
    if (wrong.name === "AbortError") throw wrong;
    throw Object.assign(new Error(SILENT), { silent: true });
  }
}

/** The answer of an address that went well. Throws also the server's sentence, with its `status`. */
export async function answered(address, options, ask) {
  const answer = await heard(address, options, ask);
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(error ?? `The explorer answered ${answer.status}.`), { status: answer.status });
}

/** The JSON of an address that went well. */
export async function asked(address, options, ask) {
  return (await answered(address, options, ask)).json();
}

/** What sends a value as JSON. */
export function posting(value, options = {}) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value), ...options };
}
