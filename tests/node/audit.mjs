// The audit of GraphQL over HTTP by graphql-http: prints each of its tests as one line of JSON.
import { auditServer } from "graphql-http";

for (const { id, name, status, reason } of await auditServer({ url: process.argv[2] }))
  console.log(JSON.stringify({ id, name, status, reason }));
