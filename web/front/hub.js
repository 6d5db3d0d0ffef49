// What scripts add to pages that work without them: lists that change as one types, pages that show what others do,
// drafts that survive a lost line, passkeys. Words come from the page, which knows its reader's language.
import { Idiomorph } from "idiomorph";

const main = document.getElementById("main");
const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const keep = {
  ignoreActiveValue: true,
  callbacks: {
    // What a reader has opened stays open, what a script shows stays shown, and what is typed is theirs.
    beforeAttributeUpdated: (name, node) =>
      !(name === "open" && node.nodeName === "DETAILS") && !(name === "hidden" && node.matches?.("[data-shown]")),
    beforeNodeMorphed: (old) => !(old.nodeType === 1 && old.matches("form[data-draft], form[data-filters]")),
  },
};

function say(text, address) {
  document.querySelector(".toast")?.remove();
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.setAttribute("role", "status");
  toast.append(text);
  if (address) {
    const link = document.createElement("a");
    link.href = address;
    link.target = "_blank";
    link.textContent = words.look;
    toast.append(" ", link);
  }
  document.body.append(toast);
  setTimeout(() => toast.remove(), 12_000);
}

let loading;
async function load(address, into) {
  loading?.abort();
  loading = new AbortController();
  const place = document.getElementById(into);
  place?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { cache: "no-cache", signal: loading.signal });
    if (!answer.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(into);
    if (!found || !place) return false;
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

// Lists that change as one types; the address always says what is shown.
function filters(form) {
  let waiting;
  const show = async () => {
    const asked = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...asked]) if (!value) asked.delete(name);
    const address = `${location.pathname}?${asked}`;
    if (await load(address, "list")) history.replaceState(null, "", address);
  };
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(show, event.target.matches("select, [type=checkbox]") ? 0 : 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    show();
  });
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
      if (await load(address, "main")) history.replaceState(null, "", address);
    }, 120);
  });
}

// Drafts are kept on the device, for the person who wrote them, until the hub has them.
function drafts(form) {
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
function counted(field) {
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
function kept(place) {
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

// A long choice is narrowed by what is typed above it. What alone fits is chosen as long as it does; what a person
// chose is theirs.
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
function narrowed(select) {
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
function looked(form) {
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
async function found(form, place, values = {}) {
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

function button(text, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "second";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
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

// Live: one subscription of the API for the page that is looked at, none for one that is hidden.
const DOCUMENTS = {
  record: "subscription($id: ID!) { recordChanged(id: $id) { event { words actorId actorName } } }",
  all: "subscription { happened { event { words } } }",
};
let source;
function listen() {
  const { live, record } = main.dataset;
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
    if (live === "elsewhere") return say(`${words.meanwhile} ${who}${event.words}`, `${location.origin}/${record.split("_")[0] === "person" ? "people" : `${record.split("_")[0]}s`}/${record}`);
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

// Passkeys.
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
async function post(address, body) {
  const answer = await fetch(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}
function passkey(form) {
  // No device makes a passkey for an address of numbers.
  if (!globalThis.PublicKeyCredential || /^[\d.]+$|:/.test(location.hostname)) return;
  form.hidden = false;
  form.dataset.shown = "";
  const registers = form.dataset.passkey === "register";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector(".problem");
    problem.hidden = true;
    try {
      const options = await post(registers ? "/passkeys/begin" : "/sign-in/passkey/begin", {});
      options.challenge = decode(options.challenge);
      for (const each of options.excludeCredentials ?? options.allowCredentials ?? []) each.id = decode(each.id);
      let made;
      if (registers) {
        options.user.id = decode(options.user.id);
        made = await navigator.credentials.create({ publicKey: options });
      } else {
        made = await navigator.credentials.get({ publicKey: options });
      }
      const response = {};
      for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (made.response[name]) response[name] = encode(made.response[name]);
      }
      if (registers) response.transports = made.response.getTransports?.() ?? [];
      const sent = { id: made.id, rawId: encode(made.rawId), type: made.type, response, clientExtensionResults: {} };
      const { next } = await post(registers ? "/passkeys" : "/sign-in/passkey", { credential: sent, next: form.dataset.next });
      location.assign(next);
    } catch {
      problem.hidden = false;
    }
  });
}

// What is to be taken elsewhere is taken with one press; without a secure line no browser lets a page do it.
function copies(root) {
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

function dress(root) {
  copies(root);
  for (const form of root.querySelectorAll("form[data-positions]")) if (!("shown" in form.dataset)) slider(form);
}

// The clock of the device, so that deadlines are in its time from the next page on.
if (!/(^|; )hub_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `hub_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}
if (new URLSearchParams(location.search).has("done")) {
  localStorage.removeItem(sessionStorage.getItem("sent"));
  sessionStorage.removeItem("sent");
}
dress(document);
document.querySelectorAll("form[data-filters]").forEach(filters);
document.querySelectorAll("form[data-draft] select").forEach(narrowed);
document.querySelectorAll("form[data-draft]").forEach(looked);
document.querySelectorAll("form[data-draft]").forEach(drafts);
document.querySelectorAll("[data-most]").forEach(counted);
document.querySelectorAll("[data-kept]").forEach(kept);
document.querySelectorAll("form[data-passkey]").forEach(passkey);
listen();
