import { found } from "./choosing.js";
import { copies, forget, keep, place, sending } from "./keeping.js";
import { button, copied, say, words } from "./page.js";

// Drafts are kept on the device until the hub has them; what was `sent` and came back goes on in its own copy.
export function drafts(form, sent) {
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
  // What the record said when this was begun: whoever goes on later is told what others have changed since.
  const began = () => [...form.elements].filter((each) => each.type === "hidden" && /^(revision$|!was\.)/.test(each.name));
  const first = JSON.stringify(held());
  let dirty = "unsaved" in form.dataset;
  const goesOn = dirty || "answered" in form.dataset;
  let own = (goesOn && sent?.place) || place(form.dataset.draft);
  // What came back goes on with what is kept beside it, as no field has that any more.
  const before = goesOn && copies(form.dataset.draft).find((copy) => copy.place === own);
  let { apart } = before || {};
  const remember = () =>
    keep(own, { values: held(), apart, began: Object.fromEntries(began().map((each) => [each.name, each.value])), zone: form.elements["!zone"]?.value });
  const restore = (copy) => {
    for (const each of fields()) {
      if (!(each.name in copy.values)) continue;
      if (each.type === "checkbox") each.checked = copy.values[each.name];
      else if (each.type === "radio") each.checked = copy.values[each.name] === each.value;
      else each.value = copy.values[each.name];
    }
    for (const each of began()) each.value = copy.began?.[each.name] ?? each.value;
    for (const place of form.querySelectorAll(".found[id$=-found]")) found(form, place, copy.values);
    clocks(form, copy.zone);
    own = copy.place;
    apart = without(copy, held());
    dirty = true;
    fields()[0]?.focus();
    return letGo;
  };
  const letGo = () => {
    apart = undefined;
    remember();
  };
  if (Object.keys(apart ?? {}).length) offer(form, before, undefined, texts({ values: apart }), letGo);
  for (const copy of goesOn ? [] : copies(form.dataset.draft)) {
    const now = held();
    const left = texts({ values: without(copy, now) });
    const other = Object.entries(now).some(([name, value]) => name in copy.values && copy.values[name] !== value);
    if (left.length || other) offer(form, copy, other && restore, left, () => forget(copy.place));
    else if (fields().every(served)) forget(copy.place);
    else {
      // The browser has put back itself what was typed.
      own = copy.place;
      dirty = true;
    }
  }
  let waiting;
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
    // Once is enough: the second press of an impatient thumb sends nothing.
    if (form.dataset.sent) {
      say(words.sending);
      return event.preventDefault();
    }
    clearTimeout(waiting);
    sending(own, (dirty && remember()) || Date.now(), held());
    dirty = false;
    form.dataset.sent = "yes";
    setTimeout(() => form.dataset.sent && say(words.sending), 700);
    setTimeout(() => delete form.dataset.sent, 10_000);
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  // Whoever leaves at once, for another language say, finds the last word too.
  addEventListener("pagehide", () => dirty && remember());
}

const served = (field) =>
  field.matches("[type=checkbox], [type=radio]")
    ? field.checked === field.defaultChecked
    : field.matches("select")
      ? [...field.options].every((each) => each.selected === each.defaultSelected) || !field.selectedIndex
      : field.value === field.defaultValue;

// What was typed into fields that are none any more, as they were frozen: it is shown, to be copied.
const without = (copy, now) => {
  const frozen = ([name, value]) => !(name in now) && value !== copy.began?.[`!was.${name}`] && !ID.test(value);
  return { ...copy.apart, ...Object.fromEntries(Object.entries(copy.values).filter(frozen)) };
};

const clock = (at, dateStyle) => new Date(at).toLocaleString([document.documentElement.lang, "ru"], { dateStyle, timeStyle: "short" });
const ID = /^\w+_[a-z0-9]{26}$/;
const texts = (copy) => Object.values({ ...copy.apart, ...copy.values }).filter((each) => typeof each === "string" && each.trim());

function written(text) {
  const made = document.createElement("pre");
  made.className = "written";
  made.tabIndex = 0;
  made.textContent = text;
  return made;
}

function offer(form, copy, restore, left, drop) {
  const made = document.createElement("div");
  made.className = "notice warn";
  made.setAttribute("role", "status");
  const text = document.createElement("p");
  text.textContent = words.unsaved.replace("%s", clock(copy.at, "short"));
  const begins = document.createElement("p");
  begins.className = "quiet";
  begins.textContent = [...(texts(copy).find((each) => !ID.test(each)) ?? "")].slice(0, 80).join("");
  const both = document.createElement("p");
  both.className = "acts";
  if (restore)
    both.append(
      button(words.restore, ({ target }) => {
        drop = restore(copy);
        // What cannot be restored stays to be copied.
        for (const each of left.length ? [begins, target] : [made]) each.remove();
      }),
    );
  both.append(
    button(words.discard, () => {
      drop();
      made.remove();
    }),
  );
  made.append(text, ...(restore ? [begins] : []), ...left.map(written), both);
  form.before(made);
  copied(made);
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
  const found = copies(place.dataset.kept).filter((copy) => texts(copy).length);
  if (!found.length) return;
  for (const copy of found) {
    const when = document.createElement("h2");
    when.textContent = words.unsaved.replace("%s", clock(copy.at, "medium"));
    place.append(when);
    place.append(...texts(copy).map(written));
  }
  const away = button(words.discard, () => {
    for (const copy of found) forget(copy.place);
    place.hidden = true;
  });
  place.append(away);
  place.hidden = false;
  copied(place);
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
