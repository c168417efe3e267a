/**
 * Tables and columns beside the query box: a filter, and names that are put into the query.
 * @module
 */

import { make, page, settled } from "./dom.js";

/**
 * Show the tables in an element.
 * @param {HTMLElement} element
 * @param {import("./completion.js").Vocabulary} vocabulary
 * @param {(name: string) => void} insert
 */
export function showBrowser(element, vocabulary, insert) {
    const list = make("div");
    const filter = make("input", { type: "search", placeholder: "filter tables and columns", "aria-label": "Filter tables and columns" });
    const show = () => list.replaceChildren(...groups(vocabulary, filter.value.trim().toLowerCase(), insert));
    filter.addEventListener("input", settled(show, 120));
    show();
    element.replaceChildren(filter, list);
}

function* groups(vocabulary, text, insert) {
    const schemas = Map.groupBy
        ? Map.groupBy(vocabulary.tables, schemaOf)
        : vocabulary.tables.reduce((found, one) => found.set(schemaOf(one), [...(found.get(schemaOf(one)) ?? []), one]), new Map());
    for (const [schema, tables] of schemas) {
        const items = tables.map((one) => tableItem(one, text, insert)).filter(Boolean);
        if (items.length) yield make("div", {}, make("div", { class: "schema-name", text: schema }), make("ul", {}, ...items));
    }
}

function schemaOf(table) {
    return table.name.split(".")[0];
}

function tableItem(table, text, insert) {
    const isNamed = !text || table.name.toLowerCase().includes(text);
    const fitting = table.columns.filter(([name, , , description]) => isNamed || `${name} ${description}`.toLowerCase().includes(text));
    if (!isNamed && !fitting.length) return null;
    const details = make("details", { open: !isNamed }, make("summary", { text: table.name.slice(schemaOf(table).length + 1), title: table.description }));
    const fill = () => {
        if (details.childElementCount > 1) return;
        details.append(
            make(
                "div",
                {},
                make("button", { type: "button", class: "plain", text: "insert name", on: { click: () => insert(table.name) } }),
                " ",
                make("a", { href: `${page.root}/tables/${encodeURIComponent(table.name)}`, text: "describe" }),
            ),
            make("ul", {}, ...fitting.map((one) => columnItem(one, insert))),
        );
    };
    details.addEventListener("toggle", () => details.open && fill());
    if (details.open) fill();
    return make("li", {}, details);
}

function columnItem([name, type, unit, description, indexed], insert) {
    return make(
        "li",
        {},
        make("button", { type: "button", class: "plain", text: name, title: description || name, on: { click: () => insert(name) } }),
        indexed ? make("span", { class: "key", title: "indexed", text: "indexed" }) : null,
        make("span", { class: "more", text: unit || type }),
    );
}
