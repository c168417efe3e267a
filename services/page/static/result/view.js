/**
 * A result as a page shows it: a grid, and beside it the sky, plots, files and the record of its rows.
 *
 * All of them share one selection of rows.
 */

import { make, page, send } from "../dom.js";
import { copyButton, asTsv } from "./copying.js";
import { fill, headline, linkOf } from "./cells.js";
import { Grid } from "./grid.js";
import { readResponse } from "./read/reading.js";
import { parametersOf } from "./code.js";
import { recordOf, recordPanel } from "./record_panel.js";
import { Selection } from "./selection.js";
import { skyPanel } from "./sky/sky_panel.js";
import { takePanel } from "./take_panel.js";
import { plotPanel } from "./plot/plot_panel.js";

/** Format in which a result has to be requested that `showResult` is to show. */
export const WIRE_FORMAT = "votable";

const TEXT_FORMAT = "votable/td";
const MOST_COPIED = 100_000;
const NOT_ASCII = /a text is not ASCII/;

/**
 * @typedef {object} Context
 * @property {string} query The query in ADQL.
 * @property {string} address Address of the page that repeats it.
 * @property {string} snapshot Snapshot of the PPDB that it is of; empty for none.
 * @property {string} tapUrl URL of the TAP service.
 * @property {string} [maxrec] MAXREC, if it is not in the address.
 * @property {string} [landing] Address of the record of the result, if it is stored.
 * @property {string} [result] URL of the file that holds the rows, if a job has made it.
 * @property {string} [format] Format in which the rows came, if it is not `WIRE_FORMAT`.
 * @property {string[]} [panels] Panels that are open at once, such as `Plot`.
 * @property {string} [region] Footprint that the sky shows behind the rows.
 * @property {AbortSignal} [signal] Ends the reading.
 */

/**
 * Show a result in place of what a container has.
 *
 * @param {HTMLElement} container Where it is shown.
 * @param {Response} response The answer of the service in `WIRE_FORMAT`, which may still arrive.
 * @param {Context} context What the result is of.
 * @returns {Promise<{rows: number, overflow: boolean, isCut: boolean}>} What has come, once all has.
 * @throws {Error} If the answer is no result, with what the service says.
 */
export async function showResult(container, response, context) {
    let view = await shown(container, response, context);
    if (NOT_ASCII.test(view.table.error)) {
        view = await shown(container, await asText(context), { ...context, format: TEXT_FORMAT, result: "" });
    }
    if (view.table.fields.length === 0) throw new Error(view.table.error || "the answer has no columns");
    performance.mark("tapdb:result-read");
    requestAnimationFrame(() => setTimeout(() => performance.mark("tapdb:result-painted")));
    return { rows: view.table.length, overflow: view.table.hasOverflow, isCut: view.table.error !== "" };
}

async function shown(container, response, context) {
    const view = new View(response, context);
    container.replaceChildren(view.element);
    await view.complete;
    return view;
}

/** Request the result again as text, which may have any letters: rows in binary may not, if they come late. */
function asText({ query, snapshot, address, maxrec, signal }) {
    const request = { tapUrl: page.tap, query, snapshot, maxrec: maxrec ?? parameterOf(address, "MAXREC") };
    return send(`${page.tap}/sync`, {
        method: "POST",
        body: new URLSearchParams(parametersOf(request, TEXT_FORMAT)),
        signal,
    });
}

class View {
    constructor(response, context) {
        this.context = context;
        this.site = context.tapUrl.replace(/\/tap\/?$/, "");
        this.table = readResponse(response, context.signal);
        this.selection = new Selection();
        this.grid = new Grid(this.table, this.selection, { site: this.site, label: "Rows of the result" });
        this.summary = make("p", { class: "result-summary", role: "status" });
        this.notice = make("p", { class: "problem", role: "alert", hidden: true });
        this.detail = make("p", { class: "result-detail" });
        this.tabs = make("div", { class: "result-tools", role: "group", "aria-label": "Beside the rows" });
        this.panels = make("div", { class: "result-panels" });
        this.element = make(
            "div",
            { class: "result" },
            make("div", { class: "result-bar" }, this.summary, this.tabs),
            this.notice,
            this.panels,
            this.grid.element,
            make("div", { class: "result-foot" }, this.detail, this.#copy()),
        );
        this.complete = new Promise((resolve) => {
            if (this.table.isComplete) resolve();
            this.table.addEventListener("end", () => resolve());
        });
        this.table.addEventListener("rows", () => this.#count());
        this.table.addEventListener("end", () => this.#end());
        this.selection.addEventListener("change", () => this.#count());
        this.grid.addEventListener("active", () => this.#describe());
        this.#count();
    }

    #copy() {
        return copyButton("Copy rows", () => {
            const every = Uint32Array.from({ length: this.table.length }, (_, row) => row);
            const rows = this.selection.size > 0 ? this.selection.rows : every;
            return asTsv(this.table, this.grid.inOrder(rows).slice(0, MOST_COPIED));
        });
    }

    #count() {
        const { table, selection, context } = this;
        const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
        const parts = [count(table.length, "row"), count(table.fields.length, "column")];
        if (!table.isComplete) parts[0] = `${parts[0]} so far`;
        if (context.snapshot !== "") parts.push(`snapshot ${context.snapshot}`);
        if (selection.size > 0) parts.push(`${selection.size.toLocaleString("en")} selected`);
        this.summary.textContent = parts.join(" · ");
    }

    #end() {
        const { table } = this;
        this.#count();
        if (table.error !== "") this.#say(`The rows are not complete: ${table.error}`);
        else if (table.hasOverflow) {
            this.#say(
                `There are more rows: these are the first ${table.length.toLocaleString("en")}, as MAXREC or the limit of the service says.`,
            );
        }
        if (table.fields.length === 0) return;
        this.#offer();
    }

    #say(text) {
        this.notice.hidden = false;
        this.notice.classList.toggle("is-mild", this.table.error === "");
        this.notice.textContent = text;
    }

    /** Show what the active cell holds, all of it. */
    #describe() {
        const { cell } = this.grid;
        const { column } = this.grid.active;
        if (column < 1) return;
        const field = this.table.fields[column - 1];
        this.detail.replaceChildren(make("b", { text: headline(field) }));
        if (cell === null) return;
        const value = make("span", { class: "result-value" });
        fill(value, cell.isNull ? "NULL" : cell.text || "empty", linkOf(cell.text, field, this.site));
        this.detail.append(" ", value);
    }

    // -- panels
    // --------------------------------------------------------------------------------------------------------

    #offer() {
        const { table, selection, context } = this;
        const record = recordOf(table);
        const maxrec = context.maxrec ?? parameterOf(context.address, "MAXREC");
        const request = {
            tapUrl: context.tapUrl,
            query: context.query,
            maxrec,
            snapshot: record?.snapshot ?? context.snapshot,
            format: context.format,
            result: context.result,
        };
        const offers = {
            Sky: () => skyPanel(table, selection, context.region ?? ""),
            Plot: () => plotPanel(table, selection),
            "Take away": () => takePanel(request, context.address),
            ...(record === null
                ? {}
                : { Record: () => recordPanel(record, { landing: context.landing ?? "", site: this.site }) }),
        };
        for (const [name, open] of Object.entries(offers)) {
            const button = this.#toggle(name, open);
            this.tabs.append(button);
            if (context.panels?.includes(name)) button.click();
        }
    }

    /** Return a button that opens and closes a panel, which is made when it opens first. */
    #toggle(name, open) {
        const panel = make("section", {
            class: `result-panel is-${name.toLowerCase().replace(" ", "-")}`,
            "aria-label": name,
            hidden: true,
        });
        const button = make("button", { type: "button", class: "button", "aria-expanded": "false", text: name });
        this.panels.append(panel);
        button.addEventListener("click", async () => {
            panel.hidden = !panel.hidden;
            button.setAttribute("aria-expanded", String(!panel.hidden));
            if (panel.hidden || panel.dataset.isMade === "true") return;
            panel.dataset.isMade = "true";
            panel.replaceChildren(await open());
        });
        return button;
    }
}

/** Return a parameter of an address, which may have it behind "#". */
function parameterOf(address, name) {
    if (!address) return "";
    const { search, hash } = new URL(address, location.href);
    return new URLSearchParams(hash.includes("QUERY=") ? hash.slice(1) : search).get(name) ?? "";
}
