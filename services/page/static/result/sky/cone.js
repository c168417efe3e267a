/**
 * A cone that somebody has drawn, as a condition of the query in the box.
 * @module
 */

const WORDS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|[A-Za-z_]\w*|[()]|\S/g;
const ENDS = new Set(["GROUP", "HAVING", "ORDER", "OFFSET", "UNION", "EXCEPT", "INTERSECT", ";"]);
const NO_ALIAS = new Set([...ENDS, "WHERE", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "NATURAL", "ON", "CROSS"]);
const CENTRE = /(?:'[^']*'\s*,\s*)?[-+.\deE]+\s*,\s*[-+.\deE]+/.source;
// Strings, names in quotes and comments are passed over: what looks like a circle in them is none.
const CIRCLE = new RegExp(
    `'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\\n]*|` +
        `(CIRCLE\\s*\\(\\s*(?:${CENTRE}|(?:'[^']*'\\s*,\\s*)?POINT\\s*\\(\\s*${CENTRE}\\s*\\))\\s*,\\s*[-+.\\deE]+\\s*\\))`,
    "gi",
);
const NAME = /^(?:\w+|"(?:[^"]|"")*")(?:\.(?:\w+|"(?:[^"]|"")*"))*/;

/**
 * @typedef {{ra_deg: number, dec_deg: number, radius_deg: number}} Cone
 * @typedef {{name: string, columns: [string, string, string, string, number][]}} Table
 */

/**
 * Return a query with a cone: in place of the one circle that it has, or as one more condition.
 * @param {string} query The query, which may be empty.
 * @param {Cone} cone The cone.
 * @param {Table[]} tables What is published.
 * @returns {string | null} Null if no table of the query has a place on the sky.
 */
export function queryWithCone(query, cone, tables) {
    const circle = `CIRCLE(${rounded(cone.ra_deg, 6)}, ${rounded(cone.dec_deg, 6)}, ${rounded(cone.radius_deg, 7)})`;
    const circles = [...query.matchAll(CIRCLE)].filter(([, old]) => old !== undefined);
    if (circles.length === 1) return query.replace(CIRCLE, (text, old) => (old === undefined ? text : circle));
    const places = topLevel(query);
    const found = tableOf(query, places);
    const table = tables.find((one) => found !== null && plain(one.name) === plain(found.name));
    const condition = table === undefined ? null : conditionOf(table, found.qualifier, circle);
    if (condition === null) return null;
    const where = places.find((word) => word.text === "WHERE");
    const isSet = places.some((word) => ["UNION", "EXCEPT", "INTERSECT"].includes(word.text));
    if (isSet) return `SELECT * FROM ${table.name} WHERE ${conditionOf(table, "", circle)}`;
    const after = where?.at ?? found.end;
    const end = places.find((word) => word.at >= after && ENDS.has(word.text))?.at ?? query.trimEnd().length;
    const [before, rest] = [query.slice(0, end).trimEnd(), query.slice(end).trimStart()];
    const tail = rest === "" ? "" : `\n${rest}`;
    if (where === undefined) return `${before}\nWHERE ${condition}${tail}`;
    const old = query.slice(where.at + 5, end).trim();
    // A comment at the end would take the parenthesis with it.
    const kept = topLevel(old).some((word) => word.text === "OR") ? `(${old}${old.includes("--") ? "\n" : ""})` : old;
    return `${query.slice(0, where.at)}WHERE ${condition}\n  AND ${kept}${tail}`;
}

function rounded(value, digits) {
    return String(Number(value.toFixed(digits)));
}

/** Return a name as names are compared. */
function plain(name) {
    return name.replaceAll('"', "").toLowerCase();
}

/** Return the words of a query that are in no parentheses, in capitals, and where they are. */
function topLevel(query) {
    let depth = 0;
    const found = [];
    for (const { 0: text, index } of query.matchAll(WORDS)) {
        if (text === ")") depth -= 1;
        if (depth === 0 && /^[A-Za-z_";]/.test(text)) found.push({ text: text.toUpperCase(), raw: text, at: index });
        if (text === "(") depth += 1;
    }
    return found;
}

/** Return the first table of a query, what its columns are qualified with, and where it ends with its alias. */
function tableOf(query, places) {
    const from = places.findIndex((word) => word.text === "FROM");
    if (from < 0 || from + 1 >= places.length) return null;
    const begin = places[from + 1].at;
    const name = NAME.exec(query.slice(begin))?.[0] ?? "";
    const end = begin + name.length;
    const alias = /^\s+(?:AS\s+)?([A-Za-z_]\w*)/i.exec(query.slice(end));
    if (alias !== null && !NO_ALIAS.has(alias[1].toUpperCase())) {
        return { name, qualifier: `${alias[1]}.`, end: end + alias[0].length };
    }
    // Another table may have columns of the same names.
    const hasOthers = /^\s*,/.test(query.slice(end)) || places.some((word) => word.text === "JOIN");
    return { name, qualifier: hasOthers ? `${name}.` : "", end };
}

/** Return the condition that rows of a table are in a circle; null if they have no place. */
function conditionOf(table, qualifier, circle) {
    const column = (...names) => {
        const known = table.columns.find(([name]) => names.includes(name.toLowerCase()))?.[0];
        return known === undefined ? null : `${qualifier}${known}`;
    };
    const region = column("s_region");
    if (region !== null) return `INTERSECTS(${circle}, ${region}) = 1`;
    const [ra, dec] = [column("ra", "s_ra"), column("dec", "decl", "s_dec")];
    return ra === null || dec === null ? null : `CONTAINS(POINT(${ra}, ${dec}), ${circle}) = 1`;
}
