// Listens to one subscription with a client that others wrote; prints "listening", then each result, and ends after COUNT.
import { createClient as overEvents } from "graphql-sse";
import { createClient as overSocket } from "graphql-ws";

const [how, url, token, count, query, variables] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const client =
  how === "events"
    ? overEvents({ url, headers: { authorization }, retryAttempts: 0 })
    : overSocket({ url: url.replace("http", "ws"), connectionParams: { Authorization: authorization }, retryAttempts: 0 });
const results = client.iterate({ query, variables: JSON.parse(variables) });
console.log("listening");
let left = Number(count);
for await (const result of results) {
  console.log(JSON.stringify(result));
  if (--left === 0) break;
}
await client.dispose();
process.exit(0);
