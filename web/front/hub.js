// What scripts add to pages that work without them: lists that change as one types, pages that show what others do,
// drafts that survive a lost line, passkeys. Words come from the page, which knows its reader's language.
import { looked, narrowed } from "./choosing.js";
import { counted, drafts, kept } from "./drafts.js";
import { arrived } from "./keeping.js";
import { filters } from "./lists.js";
import { dues, listen } from "./live.js";
import { dress } from "./page.js";
import { passkey } from "./passkeys.js";

// The clock of the device, so that deadlines are in its time from the next page on.
if (!/(^|; )hub_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `hub_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}
const sent = arrived();
dress(document);
document.querySelectorAll("form[data-filters]").forEach(filters);
document.querySelectorAll("form[data-draft] select").forEach(narrowed);
document.querySelectorAll("form[data-draft]").forEach(looked);
document.querySelectorAll("form[data-draft]").forEach((form) => drafts(form, sent));
document.querySelectorAll("[data-most]").forEach(counted);
document.querySelectorAll("[data-kept]").forEach(kept);
document.querySelectorAll("form[data-passkey]").forEach(passkey);
listen();
dues();
