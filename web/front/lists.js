import { load, moved } from "./page.js";

// Lists that change as one types; the address always says what is shown.
export function filters(form) {
  let waiting;
  const show = async () => {
    const asked = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...asked]) if (!value) asked.delete(name);
    const address = `${location.pathname}?${asked}`;
    const shown = await load(address, "list");
    if (shown) moved(address);
    // What the hub says instead is a page of its own.
    else if (shown === null) location.assign(address);
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
