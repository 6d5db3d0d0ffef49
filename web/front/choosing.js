import { say, words } from "./page.js";

// A long choice is narrowed by what is typed above it. What alone fits is chosen as long as it does; what a person
// chose is theirs.
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
export function narrowed(select) {
  const [none, ...every] = [...select.options];
  if (every.length <= 15) return;
  const known = every.map((each) => [each, plain(each.text)]);
  const box = document.createElement("input");
  box.type = "search";
  box.autocomplete = "off";
  box.placeholder = words.find;
  box.setAttribute("aria-label", words.find);
  box.setAttribute("aria-controls", select.id);
  let picked = select.value;
  select.addEventListener("change", () => (picked = select.value));
  box.addEventListener("change", () => (picked = select.value));
  box.addEventListener("input", () => {
    const typed = plain(box.value.trim());
    const fit = known.filter(([, text]) => typed.split(/\s+/).every((word) => text.includes(word))).map(([each]) => each);
    const chosen = typed && fit.length === 1 ? fit[0].value : typed ? picked : select.value || picked;
    none.text = fit.length ? "" : words.none;
    select.replaceChildren(none, ...fit);
    select.value = fit.some((each) => each.value === chosen) ? chosen : "";
    if (!typed) picked = select.value;
    select.size = typed ? Math.min(6, fit.length + 1) : 0;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  select.before(box);
}

// What is looked for is found by the hub, as one types, in whatever language and spelling.
export function looked(form) {
  for (const place of form.querySelectorAll(".found[id$=-found]")) {
    const box = document.getElementById(place.id.replace(/-found$/, ""));
    box.addEventListener("input", (event) => {
      event.stopPropagation();
      clearTimeout(place.waiting);
      place.waiting = setTimeout(() => found(form, place), 250);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      found(form, place);
    });
  }
}
export async function found(form, place, values = {}) {
  const name = place.id.replace(/-found$/, "");
  const sent = new URLSearchParams(new FormData(form));
  if (name in values) sent.set(name, values[name]);
  sent.set("!look", name);
  clearTimeout(place.waiting);
  place.looking?.abort();
  place.looking = new AbortController();
  try {
    const answer = await fetch(form.action, { method: "POST", body: sent, signal: place.looking.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const chosen = place.querySelector(":checked")?.value ?? "";
    place.replaceChildren(...page.getElementById(place.id).childNodes);
    if (!chosen || chosen === sent.get(name) || name in values) return;
    // Chosen while the hub was looking: it stays chosen.
    const again = [...place.querySelectorAll("input")].find((each) => each.value === chosen);
    if (again) again.checked = true;
    else await found(form, place, { [name]: chosen });
  } catch (error) {
    if (error.name !== "AbortError") say(words.offline);
  }
}
