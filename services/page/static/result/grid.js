/**
 * A grid that shows any number of rows: only those that are seen are in the page (WAI-ARIA 1.2, role grid).
 *
 * The focus stays on the grid; `aria-activedescendant` names the cell that keys move. Where rows would be
 * higher than browsers draw, the place of the scroll bar counts as a part of all rows.
 */

import { make } from "../dom.js";
import { fill, headline, linkOf, widthOf } from "./cells.js";
import { isNumber } from "./read/columns.js";
import { asTsv } from "./copying.js";
import { sortedRows } from "./read/table.js";

const ROW_PX = 28;
// Of the heads, and of a scroll bar below the rows.
const HEAD_PX = 84;
const HIGHEST_PX = 8_000_000;
const SPARE_ROWS = 6;
const SAMPLE_ROWS = 60;
const NUMBER_LETTERS = 7;
let grids = 0;

/** Shows a table; an event `active` says that another cell is the one that keys move. */
export class Grid extends EventTarget {
    /**
     * @param {import('./read/table.js').Table} table The result.
     * @param {import('./selection.js').Selection} selection Its selected rows.
     * @param {{site: string, label: string}} options URL of the service, and what the grid is.
     */
    constructor(table, selection, options) {
        super();
        this.table = table;
        this.selection = selection;
        this.site = options.site;
        grids += 1;
        this.id = `grid-${grids}`;
        /** @type {Uint32Array | null} */
        this.order = null;
        this.sorted = { column: -1, isDescending: false };
        this.active = { position: -1, column: 1 };
        this.anchor = -1;
        this.widths = [];
        /** @type {Map<number, HTMLElement>} */
        this.shown = new Map();
        this.free = [];
        this.hasFrame = false;
        this.head = make("div", { class: "grid-row grid-head", role: "row", "aria-rowindex": "1" });
        this.body = make("div", { class: "grid-body", role: "rowgroup" });
        this.element = make(
            "div",
            { class: "grid", role: "grid", tabindex: "0", "aria-multiselectable": "true", "aria-label": options.label },
            make("div", { role: "rowgroup", class: "grid-heads" }, this.head),
            this.body,
        );
        this.#listen();
        if (table.fields.length > 0) this.#begin();
    }

    /**
     * Scroll to a row.
     * @param {number} row Number of the row in the result.
     */
    reveal(row) {
        const position = this.order === null ? row : this.order.indexOf(row);
        if (position >= 0) this.#move(position, this.active.column, false);
    }

    /** The value of the active cell, and its column; null if a head is active. */
    get cell() {
        const { position, column } = this.active;
        if (position < 0 || position >= this.table.length || column < 1) return null;
        const row = this.#row(position);
        const isNull = this.table.value(row, column - 1) === null;
        return { row, column: column - 1, text: this.table.text(row, column - 1), isNull };
    }

    /**
     * Return rows in the order in which they are shown.
     * @param {Iterable<number>} rows Numbers of rows.
     */
    inOrder(rows) {
        const wanted = new Set(rows);
        if (this.order === null) return Uint32Array.from(wanted).sort();
        return this.order.filter((row) => wanted.has(row));
    }

    #listen() {
        const { table, element: grid, selection } = this;
        table.addEventListener("head", () => this.#begin());
        table.addEventListener("rows", () => this.#grow());
        table.addEventListener("end", () => {
            if (this.sorted.column >= 0) this.#sort(this.sorted.column, this.sorted.isDescending);
            grid.setAttribute("aria-busy", "false");
        });
        selection.addEventListener("change", (event) => {
            this.#restyle();
            if (event.detail.source !== this && selection.current >= 0) this.reveal(selection.current);
        });
        grid.addEventListener("scroll", () => this.#later(), { passive: true });
        grid.addEventListener("keydown", (event) => this.#key(event));
        grid.addEventListener("click", (event) => this.#click(event));
        grid.addEventListener("copy", (event) => this.#copy(event));
        new ResizeObserver(() => this.#later()).observe(grid);
    }

    #begin() {
        const { fields } = this.table;
        this.head.replaceChildren(make("div", { role: "columnheader", class: "grid-cell grid-number", text: "#" }));
        fields.forEach((field, column) => this.head.append(this.#headCell(field, column)));
        this.element.setAttribute("aria-colcount", String(fields.length + 1));
        this.element.setAttribute("aria-busy", "true");
        this.widths = fields.map((field) => widthOf(field, []));
        this.#grow();
    }

    #headCell(field, column) {
        const cell = make("div", {
            role: "columnheader",
            class: "grid-cell",
            "aria-colindex": String(column + 2),
            "aria-sort": "none",
            title: headline(field),
        });
        cell.dataset.column = String(column + 1);
        cell.append(
            make("span", { class: "grid-name", text: field.name }),
            make("span", { class: "grid-unit", text: field.unit === "" ? "\u00a0" : field.unit }),
            make("span", { class: "grid-description", text: field.description || "\u00a0" }),
            this.#handle(column),
        );
        return cell;
    }

    /** Return what makes a column wider. */
    #handle(column) {
        const handle = make("span", { class: "grid-handle", "aria-hidden": "true" });
        handle.addEventListener("pointerdown", (event) => {
            event.preventDefault();
            handle.setPointerCapture(event.pointerId);
            const [begin, width] = [event.clientX, this.widths[column]];
            const letter = this.head.children[column + 1].clientWidth / width;
            const widen = (moved) => this.#widen(column, width + (moved.clientX - begin) / letter);
            handle.addEventListener("pointermove", widen);
            handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", widen), {
                once: true,
            });
        });
        handle.addEventListener("click", (event) => event.stopPropagation());
        return handle;
    }

    #widen(column, letters) {
        this.widths[column] = Math.max(4, letters);
        this.#layOut();
    }

    #layOut() {
        const columns = [NUMBER_LETTERS, ...this.widths].map((letters) => `${letters.toFixed(1)}ch`).join(" ");
        this.element.style.setProperty("--columns", columns);
    }

    #grow() {
        const { table } = this;
        if (table.fields.length === 0) return;
        if (this.shown.size === 0) {
            const rows = Array.from({ length: Math.min(table.length, SAMPLE_ROWS) }, (_, row) => row);
            this.widths = table.fields.map((field, column) => {
                return widthOf(
                    field,
                    rows.map((row) => table.text(row, column)),
                );
            });
            this.#layOut();
        }
        this.element.setAttribute("aria-rowcount", String(table.length + 1));
        const height = Math.min(table.length * ROW_PX, HIGHEST_PX);
        this.body.style.height = `${height}px`;
        this.element.style.setProperty("--whole", `${height + HEAD_PX}px`);
        if (this.shown.size === 0) this.#render();
        else this.#later();
    }

    #later() {
        if (this.hasFrame) return;
        this.hasFrame = true;
        requestAnimationFrame(() => {
            this.hasFrame = false;
            this.#render();
        });
    }

    // -- what is seen
    // --------------------------------------------------------------------------------------------------------

    #row(position) {
        return this.order === null || position >= this.order.length ? position : this.order[position];
    }

    /** Height of what rows are seen in. */
    get #view() {
        return Math.max(ROW_PX, this.element.clientHeight - this.head.offsetHeight);
    }

    /** First position that is seen, and where it is drawn. */
    #first() {
        const { scrollTop } = this.element;
        const whole = this.table.length * ROW_PX;
        if (whole <= HIGHEST_PX) {
            const first = Math.floor(scrollTop / ROW_PX);
            return { first, top: first * ROW_PX };
        }
        const part = scrollTop / Math.max(1, HIGHEST_PX - this.#view);
        const first = Math.min(1, part) * (this.table.length - this.#view / ROW_PX);
        return { first: Math.floor(first), top: scrollTop - (first % 1) * ROW_PX };
    }

    #scrollTo(position) {
        const whole = this.table.length * ROW_PX;
        const view = this.#view;
        const { first } = this.#first();
        const count = Math.floor(view / ROW_PX);
        let wanted = first;
        if (position < first + (this.element.scrollTop % ROW_PX > 0 ? 1 : 0)) wanted = position;
        else if (position >= first + count) wanted = position - count + 1;
        else return;
        if (whole <= HIGHEST_PX) this.element.scrollTop = wanted * ROW_PX;
        else this.element.scrollTop = (wanted / (this.table.length - view / ROW_PX)) * (HIGHEST_PX - view);
    }

    #render() {
        const { first, top } = this.#first();
        const begin = Math.max(0, first - SPARE_ROWS);
        const end = Math.min(this.table.length, first + Math.ceil(this.#view / ROW_PX) + SPARE_ROWS);
        for (const [position, line] of this.shown) {
            if (position < begin || position >= end) {
                this.shown.delete(position);
                this.free.push(line);
            }
        }
        for (let position = begin; position < end; position += 1) {
            let line = this.shown.get(position);
            if (line === undefined) {
                line = this.free.pop() ?? this.#newLine();
                this.#fillLine(line, position);
                this.shown.set(position, line);
            }
            line.style.transform = `translateY(${top + (position - first) * ROW_PX}px)`;
        }
        this.free.forEach((line) => line.remove());
        this.free.length = 0;
        this.#mark();
    }

    #newLine() {
        const line = make("div", { class: "grid-row", role: "row" });
        line.append(make("div", { class: "grid-cell grid-number", role: "rowheader", "aria-colindex": "1" }));
        this.table.fields.forEach((field, column) => {
            const kind = isNumber(field) ? "grid-cell is-number" : "grid-cell";
            line.append(make("div", { class: kind, role: "gridcell", "aria-colindex": String(column + 2) }));
        });
        return line;
    }

    #fillLine(line, position) {
        const row = this.#row(position);
        line.dataset.position = String(position);
        line.setAttribute("aria-rowindex", String(position + 2));
        this.#markLine(line, row);
        const cells = line.children;
        cells[0].textContent = (row + 1).toLocaleString("en");
        this.table.fields.forEach((field, column) => {
            const text = this.table.text(row, column);
            fill(cells[column + 1], text, linkOf(text, field, this.site));
        });
        if (line.parentNode === null) this.body.append(line);
    }

    #markLine(line, row) {
        const isSelected = this.selection.has(row);
        line.classList.toggle("is-selected", isSelected);
        line.setAttribute("aria-selected", String(isSelected));
    }

    #restyle() {
        for (const [position, line] of this.shown) this.#markLine(line, this.#row(position));
    }

    #refill() {
        for (const [position, line] of this.shown) this.#fillLine(line, position);
        this.#later();
    }

    /** Show which cell keys move. */
    #mark() {
        const before = this.element.querySelector(".is-active");
        before?.classList.remove("is-active");
        before?.removeAttribute("id");
        const { position, column } = this.active;
        const line = position < 0 ? this.head : this.shown.get(position);
        const cell = line?.children[column];
        if (cell === undefined) {
            this.element.removeAttribute("aria-activedescendant");
            return;
        }
        cell.classList.add("is-active");
        cell.id = `${this.id}-${position}-${column}`;
        this.element.setAttribute("aria-activedescendant", cell.id);
    }

    // -- what keys and clicks do
    // --------------------------------------------------------------------------------------------------------

    #move(position, column, isRange) {
        const last = this.table.length - 1;
        const to = { position: Math.min(Math.max(position, -1), last), column: column };
        to.column = Math.min(Math.max(column, 0), this.table.fields.length);
        if (isRange && to.position >= 0) this.#range(to.position);
        else this.anchor = to.position;
        this.active = to;
        if (to.position >= 0) this.#scrollTo(to.position);
        this.#sideways(to.column);
        this.#render();
        this.dispatchEvent(new Event("active"));
    }

    #sideways(column) {
        const cell = this.head.children[column];
        const number = this.head.children[0].offsetWidth;
        const grid = this.element;
        if (column === 0 || cell === undefined) return;
        if (cell.offsetLeft - number < grid.scrollLeft) grid.scrollLeft = cell.offsetLeft - number;
        const right = cell.offsetLeft + cell.offsetWidth;
        if (right > grid.scrollLeft + grid.clientWidth) grid.scrollLeft = right - grid.clientWidth;
    }

    #range(position) {
        if (this.anchor < 0) this.anchor = Math.max(0, this.active.position);
        const [low, high] = [Math.min(this.anchor, position), Math.max(this.anchor, position)];
        const rows = Array.from({ length: high - low + 1 }, (_, number) => this.#row(low + number));
        this.selection.current = this.#row(position);
        this.selection.set(rows, this);
    }

    #key(event) {
        const { position, column } = this.active;
        const page = Math.max(1, Math.floor(this.#view / ROW_PX) - 1);
        const isWhole = event.ctrlKey || event.metaKey;
        const moves = {
            ArrowDown: [position + 1, column],
            ArrowUp: [position - 1, column],
            ArrowRight: [position, column + 1],
            ArrowLeft: [position, column - 1],
            PageDown: [position + page, column],
            PageUp: [Math.max(position === -1 ? -1 : 0, position - page), column],
            Home: isWhole ? [0, 1] : [position, 1],
            End: isWhole ? [this.table.length - 1, this.table.fields.length] : [position, this.table.fields.length],
        };
        if (event.altKey && event.key in moves) {
            if (!event.key.startsWith("Arrow") || position >= 0 || column < 1) return;
            this.#widen(column - 1, this.widths[column - 1] + (event.key === "ArrowRight" ? 2 : -2));
        } else if (event.key in moves) this.#move(...moves[event.key], event.shiftKey);
        else if (event.key === " " && position >= 0) this.selection.toggle(this.#row(position), this);
        else if (event.key === "Enter" || event.key === " ") this.#enter();
        else if (event.key === "a" && isWhole) {
            this.selection.set(
                Array.from({ length: this.table.length }, (_, row) => row),
                this,
            );
        } else if (event.key === "Escape" && this.selection.size > 0) this.selection.set([], this);
        else return;
        event.preventDefault();
    }

    /** Sort by a head, or open the link of a cell. */
    #enter() {
        const { position, column } = this.active;
        if (position < 0) {
            if (column > 0) this.sort(column - 1);
            return;
        }
        const link = this.shown.get(position)?.children[column]?.querySelector("a");
        if (link) link.click();
        else this.selection.toggle(this.#row(position), this);
    }

    #click(event) {
        const cell = event.target.closest(".grid-cell");
        if (cell === null || event.target.closest("a") !== null) return;
        const line = cell.parentElement;
        const column = [...line.children].indexOf(cell);
        if (line === this.head) {
            this.#move(-1, column, false);
            if (column > 0) this.sort(column - 1);
            return;
        }
        const position = Number(line.dataset.position);
        const row = this.#row(position);
        if (event.shiftKey) this.#move(position, column, true);
        else {
            this.#move(position, column, false);
            if (event.ctrlKey || event.metaKey || column === 0) this.selection.toggle(row, this);
            else {
                this.selection.current = row;
                this.selection.set([row], this);
            }
        }
    }

    /**
     * Sort by a column: up, then down, then as the service sent the rows.
     * @param {number} column Number of the column.
     */
    sort(column) {
        const isSame = this.sorted.column === column;
        if (isSame && this.sorted.isDescending) this.#sort(-1, false);
        else this.#sort(column, isSame);
    }

    #sort(column, isDescending) {
        this.sorted = { column, isDescending };
        this.order = column < 0 ? null : sortedRows(this.table, column, isDescending);
        [...this.head.children].forEach((cell, number) => {
            if (number === 0) return;
            const way = isDescending ? "descending" : "ascending";
            cell.setAttribute("aria-sort", number === column + 1 ? way : "none");
        });
        this.#refill();
    }

    #copy(event) {
        if (String(window.getSelection()) !== "") return;
        const { selection } = this;
        const text = selection.size > 0 ? asTsv(this.table, this.inOrder(selection.rows)) : (this.cell?.text ?? "");
        event.clipboardData.setData("text/plain", text);
        event.preventDefault();
    }
}
