// What every script of a page shares: its words, a part of it loaded anew, a word to its reader, a button.
import { Idiomorph } from "idiomorph";

export const main = document.getElementById("main");
export const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const keep = {
  ignoreActiveValue: true,
  callbacks: {
    // What a reader has opened stays open, what a script shows stays shown, and what is typed is theirs.
    beforeAttributeUpdated: (name, node) =>
      !(name === "open" && node.nodeName === "DETAILS") && !(name === "hidden" && node.matches?.("[data-shown]")),
    beforeNodeMorphed: (old) => !(old.nodeType === 1 && old.matches("form[data-draft], form[data-filters]")),
  },
};

// Said where a screen reader listens already; what leads somewhere stays until its reader has done with it.
export function say(text, address) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.append(text);
  if (address) {
    const link = document.createElement("a");
    link.href = address;
    link.target = "_blank";
    link.textContent = words.look;
    toast.append(" ", link, " ", button(words.close, () => toast.remove()));
  } else setTimeout(() => toast.remove(), 12_000);
  document.getElementById("said").replaceChildren(toast);
}

// The address says what is shown, also to what is sent from here.
export function moved(address) {
  history.replaceState(null, "", address);
  for (const each of document.querySelectorAll("input[name=next]")) each.value = address;
}

let loading;
// Whether a part of the page was loaded anew; null where the hub answers that it cannot be, undefined where it has none.
export async function load(address, into) {
  loading?.abort();
  loading = new AbortController();
  const place = document.getElementById(into);
  place?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { cache: "no-cache", signal: loading.signal });
    if (answer.status >= 500) say(words.offline);
    else if (document.getElementById("said").textContent === words.offline) document.getElementById("said").replaceChildren();
    if (!answer.ok) return answer.status < 500 ? null : false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(into);
    if (!found) return undefined;
    if (!place) return false;
    Idiomorph.morph(place, found, keep);
    dress(place);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") say(words.offline);
    return false;
  } finally {
    place?.removeAttribute("aria-busy");
  }
}

export function button(text, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "second";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
}

// The record at any position of its history.
function slider(form) {
  const positions = form.dataset.positions.split(" ");
  const range = form.querySelector("input");
  form.hidden = false;
  form.dataset.shown = "";
  let waiting;
  range.addEventListener("input", () => {
    range.setAttribute("aria-valuetext", range.getAttribute("aria-valuetext").replace(/\d+/, positions[range.value]));
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const last = Number(range.value) === positions.length - 1;
      const address = location.pathname + (last ? "" : `?position=${positions[range.value]}`);
      if (await load(address, "main")) moved(address);
    }, 120);
  });
}

// What is to be taken elsewhere is taken with one press; without a secure line no browser lets a page do it.
export function copied(root) {
  if (!navigator.clipboard) return;
  for (const each of root.querySelectorAll("pre, .secret")) {
    if (each.nextElementSibling?.matches(".copy")) continue;
    const made = button(words.copy, async () => {
      await navigator.clipboard.writeText(each.textContent);
      say(words.copied);
    });
    made.classList.add("copy");
    each.after(made);
  }
}

export function dress(root) {
  copied(root);
  for (const form of root.querySelectorAll("form[data-positions]")) if (!("shown" in form.dataset)) slider(form);
}
