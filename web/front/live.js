import { load, main, say, words } from "./page.js";

// Live: one subscription of the API for the page that is looked at, none for one that is hidden.
const DOCUMENTS = {
  record: "subscription($id: ID!) { recordChanged(id: $id) { event { words actorId actorName } } }",
  all: "subscription { happened { event { words } } }",
};
let source;
export function listen() {
  const { live, record, path } = main.dataset;
  source?.close();
  if (!live || document.hidden) return;
  const asked = new URLSearchParams({ query: DOCUMENTS[live === "elsewhere" ? "record" : live] ?? `subscription { ${live}Changed { event { words } } }` });
  if (record) asked.set("variables", JSON.stringify({ id: record }));
  source = new EventSource(`/graphql?${asked}`);
  let before = !performance.getEntriesByType("navigation").length;
  let waiting;
  source.addEventListener("open", () => {
    // Whatever happened while nobody listened; an unchanged page is 304.
    if (before) renew();
    before = true;
  });
  source.addEventListener("next", ({ data }) => {
    const change = Object.values(JSON.parse(data).data ?? {})[0];
    if (!change) return;
    const { event } = change;
    const who = event.actorName ? `${event.actorName}: ` : "";
    if (live === "elsewhere") return say(`${words.meanwhile} ${who}${event.words}`, location.origin + path);
    if (live === "record" && event.actorId !== main.dataset.person) say(who + event.words);
    clearTimeout(waiting);
    waiting = setTimeout(renew, 150);
  });
}
// What has a time is shown anew while that comes near, minute by minute, and once it has passed.
const HOUR = 3_600_000;
const lefts = () => [...document.querySelectorAll("time[data-due]")].map((each) => Date.parse(each.dateTime) - Date.now());
let ticking;
export function dues() {
  clearTimeout(ticking);
  if (document.hidden) return;
  const left = Math.min(...lefts().filter((each) => each > -60_000));
  // The hub may need a moment to close a round; no timer is longer than 24 days.
  const wait = left > HOUR ? Math.min(left - HOUR, 24 * 24 * HOUR) : left > 0 ? Math.min(60_000, left + 1_000) : 5_000;
  if (left < Infinity) ticking = setTimeout(() => due().finally(dues), wait);
}
async function due() {
  const written = document.getElementById("due");
  if (!written) return renew();
  if ((await load(location.href, written.id)) != null) return;
  // It has no such time any more: that is over, or something else happened, which is said where it happens.
  if (!lefts().some((each) => each <= 0)) return;
  say(words.over);
  written.textContent = words.over;
}
async function renew() {
  if (main.dataset.live && main.dataset.live !== "elsewhere") await load(location.href, "main");
}
document.addEventListener("visibilitychange", listen);
document.addEventListener("visibilitychange", () => {
  // What was over while nobody looked is shown at once.
  if (!document.hidden && lefts().some((each) => each <= 0)) due().finally(dues);
  else dues();
});
addEventListener("pagehide", () => source?.close());
