/** How a value looks: as text, whatever it holds, and as a link where it is one. */

import { isNumber, isText } from "./read/columns.js";

/** @typedef {import('./read/columns.js').Field} Field */

const ABSOLUTE = /^https?:\/\/[^\s]+$/i;
const TABLES = {
    diaobjectid: "ppdb.DiaObject",
    diasourceid: "ppdb.DiaSource",
    diaforcedsourceid: "ppdb.DiaForcedSource",
    ssobjectid: "ppdb.SSObject",
};

/**
 * Return where a value leads; empty if nowhere. Only http and https are links.
 * @param {string} text The value.
 * @param {Field} field Its column.
 * @param {string} site URL of the service, without a slash at the end.
 */
export function linkOf(text, field, site) {
    if (text === "") return "";
    const name = field.name.toLowerCase();
    if (name === "obs_publisher_did" || field.utype.endsWith("Curation.PublisherDID")) {
        return `${site}/images?ID=${encodeURIComponent(text)}`;
    }
    if (name in TABLES && /^\d+$/.test(text) && text !== "0") {
        return `${site}/objects?table=${TABLES[name]}&key=${text}`;
    }
    if (!isText(field) || !ABSOLUTE.test(text)) return "";
    try {
        return new URL(text).href;
    } catch {
        return "";
    }
}

/**
 * Show a value in an element, as text or as a link.
 * @param {HTMLElement} element The element.
 * @param {string} text The value.
 * @param {string} link Where it leads; empty if nowhere.
 */
export function fill(element, text, link) {
    if (link === "") {
        element.textContent = text;
        return;
    }
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
    anchor.tabIndex = -1;
    anchor.textContent = text;
    element.replaceChildren(anchor);
}

/**
 * Return what a head says of a column, in one line.
 * @param {Field} field The column.
 */
export function headline(field) {
    const parts = [field.unit === "" ? field.name : `${field.name} [${field.unit}]`, field.description, field.ucd];
    return parts.filter((one) => one !== "").join(" · ");
}

/**
 * Return how wide a column has to be for its head and some of its values, in letters.
 * @param {Field} field The column.
 * @param {string[]} texts Some values.
 */
export function widthOf(field, texts) {
    const longest = Math.max(0, ...texts.map((text) => text.length));
    const head = Math.max(field.name.length + 2, Math.min(field.description.length / 2 + 2, 18), field.unit.length);
    return Math.min(Math.max(head, longest, 6), isNumber(field) ? 24 : 40) + 2;
}
