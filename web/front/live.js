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
function renew() {
  if (main.dataset.live && main.dataset.live !== "elsewhere") load(location.href, "main");
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => source?.close());
