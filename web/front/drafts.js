import { found } from "./choosing.js";
import { button, copies, main, say, words } from "./page.js";

// Drafts are kept on the device, for the person who wrote them, until the hub has them.
export function drafts(form) {
  const place = `draft ${main.dataset.person ?? ""} ${form.dataset.draft}`;
  const fields = () => [...form.elements].filter((each) => /^[^!]/.test(each.name) && each.type !== "hidden" && each.type !== "submit");
  const held = () => {
    const values = {};
    for (const each of fields()) {
      if (each.type === "checkbox") values[each.name] = each.checked;
      else if (each.type !== "radio" || each.checked) values[each.name] = each.value;
      else values[each.name] ??= "";
    }
    return values;
  };
  const first = JSON.stringify(held());
  let dirty = "unsaved" in form.dataset;
  const old = localStorage.getItem(place);
  // What was sent and came back holds what was typed last.
  if (old && !("answered" in form.dataset) && !dirty) {
    const { at, values, zone } = JSON.parse(old);
    const differs = Object.entries(held()).some(([name, value]) => name in values && values[name] !== value);
    if (differs) {
      const offer = document.createElement("div");
      offer.className = "notice warn";
      offer.setAttribute("role", "status");
      const when = new Date(at).toLocaleString([document.documentElement.lang, "ru"], { dateStyle: "short", timeStyle: "short" });
      const back = button(words.restore, () => {
        for (const each of fields()) {
          if (!(each.name in values)) continue;
          if (each.type === "checkbox") each.checked = values[each.name];
          else if (each.type === "radio") each.checked = values[each.name] === each.value;
          else each.value = values[each.name];
        }
        for (const place of form.querySelectorAll(".found[id$=-found]")) found(form, place, values);
        clocks(form, zone);
        dirty = true;
        offer.remove();
        fields()[0]?.focus();
      });
      const away = button(words.discard, () => {
        localStorage.removeItem(place);
        offer.remove();
      });
      const text = document.createElement("p");
      text.textContent = words.unsaved.replace("%s", when);
      const both = document.createElement("p");
      both.className = "acts";
      both.append(back, away);
      offer.append(text, both);
      form.before(offer);
    } else {
      localStorage.removeItem(place);
    }
  }
  let waiting;
  const remember = () => localStorage.setItem(place, JSON.stringify({ at: Date.now(), values: held(), zone: form.elements["!zone"]?.value }));
  form.addEventListener("input", () => {
    dirty = JSON.stringify(held()) !== first;
    clearTimeout(waiting);
    waiting = setTimeout(remember, 400);
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name === "!preview") return preview(event, form);
    if (event.submitter?.name === "!look") {
      event.preventDefault();
      return found(form, document.getElementById(`${event.submitter.value}-found`));
    }
    if (dirty) remember();
    dirty = false;
    sessionStorage.setItem("sent", place);
    // Once is enough: the second press of an impatient thumb sends nothing.
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 10_000);
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  // Whoever leaves at once, for another language say, finds the last word too.
  addEventListener("pagehide", () => dirty && remember());
}

// How much of what fits is written, once little is left. What is too long is never cut: the hub says so, and keeps it.
export function counted(field) {
  const said = document.createElement("small");
  said.className = "count";
  said.setAttribute("role", "status");
  field.after(said);
  const most = Number(field.dataset.most);
  const count = () => {
    // As the hub counts: a letter is one, however many units a browser keeps it in, and a break is one.
    const length = [...field.value.trim().normalize()].length;
    said.textContent = length > most * 0.8 ? `${length.toLocaleString([document.documentElement.lang, "ru"])} / ${most.toLocaleString([document.documentElement.lang, "ru"])}` : "";
    said.classList.toggle("over", length > most);
  };
  field.addEventListener("input", count);
  count();
}

// Times that were typed by the clocks of one zone stay what they were, whatever zone is read in since.
function clocks(form, zone) {
  const now = form.elements["!zone"];
  if (!zone || !now || now.value === zone) return;
  for (const each of form.querySelectorAll("input[type=datetime-local]")) {
    const help = document.getElementById(`${each.name}-help`);
    if (help) help.textContent = help.textContent.replace(now.value, zone);
  }
  now.value = zone;
}

// What was written into a form that is closed now can still be copied.
export function kept(place) {
  const key = `draft ${main.dataset.person ?? ""} ${place.dataset.kept}`;
  const old = JSON.parse(localStorage.getItem(key) ?? "null");
  const texts = Object.values(old?.values ?? {}).filter((each) => typeof each === "string" && each.trim());
  if (!texts.length) return;
  const when = new Date(old.at).toLocaleString([document.documentElement.lang, "ru"], { dateStyle: "medium", timeStyle: "short" });
  place.querySelector("h2").textContent = words.unsaved.replace("%s", when);
  for (const each of texts) {
    const text = document.createElement("pre");
    text.className = "written";
    text.tabIndex = 0;
    text.textContent = each;
    place.append(text);
  }
  const away = button(words.discard, () => {
    localStorage.removeItem(key);
    place.hidden = true;
  });
  place.append(away);
  place.hidden = false;
  copies(place);
}

async function preview(event, form) {
  event.preventDefault();
  const sent = new URLSearchParams(new FormData(form, event.submitter));
  const place = document.getElementById(`${event.submitter.value}-preview`);
  try {
    const answer = await fetch(form.action, { method: "POST", body: sent });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...page.getElementById(place.id).childNodes);
    place.hidden = false;
  } catch {
    say(words.offline);
  }
}
