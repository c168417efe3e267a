// Reads a VOTable with the page's own reader, in pieces of each size that is given, and writes what it has
// found as JSON: texts of all values, null for NULL.

import { readFileSync } from "node:fs";
import { Table } from "../../services/page/static/result/read/table.js";
import { VotableReader } from "../../services/page/static/result/read/votable.js";

const content = readFileSync(process.argv[2]);

function read(size) {
    const table = new Table();
    const reader = new VotableReader({ head: (head) => table.begin(head), batch: (batch) => table.add(batch) });
    for (let place = 0; place < content.length; place += size) {
        reader.feed(new Uint8Array(content.subarray(place, place + size)));
    }
    table.end(reader.end());
    const { fields, infos, services, error, status } = table;
    const rows = Array.from({ length: table.length }, (_, row) => {
        return fields.map((_, column) => (table.value(row, column) === null ? null : table.text(row, column)));
    });
    return { fields, infos, services, error, status, rows };
}

console.log(JSON.stringify(process.argv.slice(3).map((size) => read(Number(size)))));
