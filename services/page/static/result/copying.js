/** Texts for the clipboard: also where a page has no right to it, as over plain HTTP. */

import { make } from "../dom.js";

/**
 * Put a text into the clipboard.
 * @param {string} text The text.
 * @returns {Promise<boolean>} Whether the browser has done it.
 */
export async function copyText(text) {
    if (navigator.clipboard !== undefined && window.isSecureContext) {
        try {
            await navigator.clipboard.writeText(text);
            return true;
        } catch {
            // The browser or its user forbids it: the older way may be open.
        }
    }
    const area = make("textarea", { class: "hidden", readonly: true });
    area.value = text;
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return isDone;
}

/**
 * Return a button that copies a text and says so.
 * @param {string} label What it says.
 * @param {() => string} text Returns the text.
 */
export function copyButton(label, text) {
    const button = make("button", { type: "button", class: "button", text: label });
    button.addEventListener("click", async () => {
        button.textContent = (await copyText(text())) ? "Copied" : "The browser forbids it: select and copy";
        setTimeout(() => {
            button.textContent = label;
        }, 2000);
    });
    return button;
}

/**
 * Return rows as lines with tabs, names of columns first: what spreadsheets take.
 * @param {import('./read/table.js').Table} table The result.
 * @param {Iterable<number>} rows Numbers of rows.
 */
export function asTsv(table, rows) {
    const names = table.fields.map((field) => field.name);
    const lines = Array.from(rows, (row) => {
        return table.fields.map((_, column) => table.text(row, column).replace(/[\t\r\n]+/g, " "));
    });
    return [names, ...lines].map((line) => line.join("\t")).join("\n");
}
