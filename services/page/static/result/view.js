/**
 * What is shown of a result.
 * @module
 */

import { make } from "../dom.js";

/**
 * @typedef {object} ResultContext
 * @property {string} query - the query
 * @property {string} address - the address that repeats it
 * @property {string} snapshot - value of the header PPDB-Snapshot; empty without one
 * @property {string} tapUrl - URL of the TAP service
 * @property {string} format - format of the response, as RESPONSEFORMAT has it
 */

/**
 * Show the result that a response brings.
 * @param {HTMLElement} container - what it held before is replaced
 * @param {Response} response - JSON of /tap/sync or of a job, which may still arrive
 * @param {ResultContext} context
 * @returns {Promise<{rows: number, overflow: boolean}>} once all of it has come
 */
export async function showResult(container, response, context) {
    const result = await response.json();
    const heads = result.columns.map((one) =>
        make("th", { scope: "col", title: one.description }, one.name, one.unit ? make("span", { class: "unit", text: ` ${one.unit}` }) : null),
    );
    const rows = result.rows.map((row) => make("tr", {}, ...row.map((value) => make("td", { text: value ?? "" }))));
    container.replaceChildren(
        make(
            "div",
            { class: "wide", tabindex: 0, role: "region", "aria-label": "Rows" },
            make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
        ),
    );
    if (result.error) throw new Error(result.error);
    return { rows: rows.length, overflow: result.overflow };
}
