// Puts one cone into each query of the standard input, as the page does, and writes the queries as JSON.

import { readFileSync } from "node:fs";
import { queryWithCone } from "../../services/page/static/result/sky/cone.js";

const { queries, cone, tables } = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(queries.map((query) => queryWithCone(query, cone, tables))));
