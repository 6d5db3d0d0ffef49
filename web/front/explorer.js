// The explorer: GraphiQL over this hub, with the document of a page ready to run.
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { GraphiQL } from "graphiql";
import "graphiql/style.css";

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

createRoot(place).render(
  createElement(GraphiQL, {
    fetcher,
    initialQuery: place.dataset.query || undefined,
    initialVariables: place.dataset.variables || undefined,
    defaultQuery: place.dataset.query || undefined,
    shouldPersistHeaders: false,
  }),
);
