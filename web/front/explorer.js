// The explorer: GraphiQL over this hub, with the document of a page ready to run.
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { GraphiQL } from "graphiql";
import "graphiql/style.css";
import "./explorer.css";

const place = document.getElementById("explorer");
const workers = JSON.parse(place.dataset.workers);

globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(workers[label] ?? workers.editor),
};

const fetcher = async (asked, options = {}) => {
  const answer = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json", ...options.headers },
    body: JSON.stringify(asked),
  });
  return answer.json();
};

// It opens with the document that it was asked for, not with what somebody tried before.
const FORGETFUL = { length: 0, getItem: () => null, setItem() {}, removeItem() {}, clear() {} };
const FIRST = "{\n  me {\n    name\n  }\n  calls(first: 5) {\n    nodes {\n      title\n      status\n      closesAt\n    }\n  }\n}\n";

// Its colors follow the reader's choice, or else the device.
const dark = matchMedia("(prefers-color-scheme: dark)");
const root = createRoot(place);
function draw() {
  root.render(
    createElement(GraphiQL, {
      fetcher,
      forcedTheme: document.documentElement.dataset.theme || (dark.matches ? "dark" : "light"),
      initialQuery: place.dataset.query || FIRST,
      initialVariables: place.dataset.variables || undefined,
      defaultQuery: place.dataset.query || FIRST,
      shouldPersistHeaders: false,
      storage: FORGETFUL,
    }),
  );
}
dark.addEventListener("change", draw);
draw();
