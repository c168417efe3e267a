/**
 * What fits at the cursor: tables, columns of the tables that the query names, functions, words of ADQL.
 * @module
 */

/**
 * @typedef {object} Vocabulary
 * @property {{name: string, description: string, columns: [string, string, string, string, number][]}[]} tables
 * @property {string[]} keywords
 * @property {{name: string, call: string}[]} functions
 * @property {string[]} types
 * @property {string[]} reserved
 */

const NAME = /(?:[\w"]+\.)*[\w"]*$/;
const CLAUSE =
    /\b(?:FROM|JOIN)\b([^()]*?)(?=\b(?:WHERE|GROUP|ORDER|HAVING|UNION|EXCEPT|INTERSECT|FROM|JOIN|INNER|LEFT|RIGHT|FULL|CROSS|NATURAL|ON|USING|OFFSET)\b|[()]|$)/gi;
const RELATION = /^\s*((?:[\w"]+\.)*[\w"]+)(?:\s+(?:AS\s+)?([A-Za-z_]\w*))?/i;
const AFTER_FROM = /\b(?:FROM|JOIN)\s+(?:(?:[\w".]+)(?:\s+(?:AS\s+)?\w+)?\s*,\s*)*[\w".]*$/i;

/**
 * Return the tables that a query names, by the names that its columns may be qualified with.
 * @param {Vocabulary} vocabulary
 * @param {string} text
 * @returns {Map<string, Vocabulary["tables"][0]>}
 */
export function namedTables(vocabulary, text) {
    const found = new Map();
    for (const relation of [...text.matchAll(CLAUSE)].flatMap(([, clause]) => clause.split(","))) {
        const [, name, alias] = relation.match(RELATION) ?? [];
        if (!name) continue;
        const wanted = name.replaceAll('"', "").toLowerCase();
        const table = vocabulary.tables.find((one) => {
            const known = one.name.toLowerCase();
            return known === wanted || known.endsWith(`.${wanted}`);
        });
        if (!table) continue;
        found.set(wanted, table);
        if (alias) found.set(alias.toLowerCase(), table);
    }
    return found;
}

/**
 * Return what may be written at a position.
 * @param {Vocabulary} vocabulary
 * @param {string} text
 * @param {number} position
 * @param {boolean} [all] - whether names of tables are wanted where columns are more likely
 * @returns {{from: number, options: {label: string}[]}}
 */
export function completions(vocabulary, text, position, all = false) {
    const before = text.slice(0, position);
    const name = before.match(NAME)[0];
    const dot = name.lastIndexOf(".");
    const tables = namedTables(vocabulary, text);
    if (AFTER_FROM.test(before)) return { from: position - name.length, options: vocabulary.tables.map(asTable) };
    if (dot >= 0) {
        const table = tables.get(name.slice(0, dot).replaceAll('"', "").toLowerCase());
        if (table) return { from: position - name.length + dot + 1, options: table.columns.map((one) => asColumn(one, table)) };
    }
    const columns = new Map();
    // Before a table is named, columns of all that begin as the word does.
    const begins = name.toLowerCase();
    for (const table of tables.size ? new Set(tables.values()) : vocabulary.tables) {
        for (const one of table.columns) {
            const fits = tables.size || (begins && one[0].toLowerCase().startsWith(begins));
            if (fits && !columns.has(one[0])) columns.set(one[0], asColumn(one, table));
        }
    }
    return {
        from: position - name.length,
        options: [
            ...columns.values(),
            ...(all ? vocabulary.tables.map((one) => ({ ...asTable(one), boost: -50 })) : []),
            ...vocabulary.functions.map((one) => ({ label: one.name, type: "function", detail: one.call.slice(one.name.length), boost: 0 })),
            ...vocabulary.keywords.map((word) => ({ label: word, type: "keyword", boost: 0 })),
            ...vocabulary.types.map((word) => ({ label: word, type: "type", boost: -20 })),
        ],
    };
}

function asTable(table) {
    return { label: table.name, type: "class", info: table.description || undefined };
}

function asColumn([name, type, unit, description, indexed], table) {
    const detail = [unit || type, indexed ? "indexed" : ""].filter(Boolean).join(", ");
    return { label: name, type: "property", detail, info: description || undefined, boost: indexed ? 60 : 50 };
}
