import { main, say, words } from "./page.js";

// What is written and not sent stays on the device, for the person who wrote it: a copy for each time that a form was
// opened, so that none is written over another.
const base = (form) => `draft ${main.dataset.person ?? ""} ${form}`;
export const place = (form) => `${base(form)} ${Math.random().toString(36).slice(2)}`;
export const forget = (place) => localStorage.removeItem(place);

// All that is kept of a form, the newest first.
export function copies(form) {
  const places = Object.keys(localStorage).filter((each) => each === base(form) || each.startsWith(`${base(form)} `));
  return places.map((each) => ({ place: each, ...JSON.parse(localStorage.getItem(each)) })).sort((a, b) => b.at - a.at);
}

let told = false;
// When it was kept; a device without room is said once.
export function keep(place, copy) {
  const at = Date.now();
  try {
    localStorage.setItem(place, JSON.stringify({ at, ...copy }));
    return at;
  } catch {
    if (!told) say(words.full);
    told = true;
  }
}

export function sending(place, at, values) {
  try {
    sessionStorage.setItem("sent", JSON.stringify({ place, at, values }));
  } catch {
    // Without room nothing was kept either: there is no copy to forget.
  }
}
// What was sent from the page before this one, once: where the hub says that it is done, no copy of it is needed any
// more. A page that said so before, and is shown again, says nothing of what was sent since.
export function arrived() {
  const sent = JSON.parse(sessionStorage.getItem("sent") ?? "null");
  const asked = new URLSearchParams(location.search);
  // What only answers, as that somebody is signed out, is followed by another answer.
  if (!asked.has("sent") || document.querySelector("form[data-answered]")) sessionStorage.removeItem("sent");
  if (!(asked.has("done") || "done" in main.dataset) || history.state?.told) return sent;
  history.replaceState({ ...history.state, told: true }, "");
  const copy = JSON.parse(localStorage.getItem(sent?.place) ?? "null");
  if (copy && copy.at > sent.at) {
    // It goes on from what was sent, and not from what stood there before: what others change after that, it has not.
    const was = Object.entries(sent.values ?? {}).map(([name, value]) => [`!was.${name}`, value === false ? "" : String(value)]);
    const { revision } = main.dataset;
    localStorage.setItem(sent.place, JSON.stringify({ ...copy, began: revision && { revision, ...Object.fromEntries(was) } }));
    say(words.later);
  } else if (Object.keys(copy?.apart ?? {}).length) {
    // What no field has any more was not sent with the rest.
    localStorage.setItem(sent.place, JSON.stringify({ at: copy.at, values: {}, apart: copy.apart }));
  } else if (copy) forget(sent.place);
  return sent;
}
