/** A result as a page holds it: columns, rows that still arrive, and values by row and column. */

import { isArray, isText } from "./columns.js";

/** @typedef {import('./columns.js').Field} Field */
/** @typedef {import('./columns.js').Batch} Batch */
/** @typedef {string | number | bigint | boolean | null | (number | bigint | boolean | null)[]} Value */

const SMALLEST = { short: -32768, int: -2147483648, long: -(2n ** 63n) };

/** A result; an event `rows` says that rows have come, `end` that all have, or an error. */
export class Table extends EventTarget {
    constructor() {
        super();
        /** @type {Field[]} */
        this.fields = [];
        /** @type {import('./votable.js').Info[]} */
        this.infos = [];
        /** @type {import('./votable.js').Service[]} */
        this.services = [];
        this.length = 0;
        this.isComplete = false;
        /** What has ended the rows too early. */
        this.error = "";
        /** @type {Batch[]} */
        this.batches = [];
        this.starts = [];
        this.last = 0;
    }

    /** Whether there were more rows than MAXREC lets come. */
    get hasOverflow() {
        return this.status === "OVERFLOW";
    }

    /** Last word of the service about the query (DALI 1.1 section 4.4). */
    get status() {
        return this.infos.findLast((info) => info.name === "QUERY_STATUS")?.value ?? "";
    }

    /**
     * Return the value of an INFO; empty if there is none.
     * @param {string} name Its name.
     */
    info(name) {
        return this.infos.find((info) => info.name === name)?.value ?? "";
    }

    /**
     * Say which columns there are.
     * @param {{fields: Field[], infos: import('./votable.js').Info[]}} head What stands before the rows.
     */
    begin(head) {
        this.fields = head.fields;
        this.infos = head.infos;
        this.dispatchEvent(new Event("head"));
    }

    /**
     * Add rows.
     * @param {Batch} batch The rows.
     */
    add(batch) {
        this.starts.push(this.length);
        this.batches.push(batch);
        this.length += batch.rows;
        this.dispatchEvent(new Event("rows"));
    }

    /**
     * Say that no more rows come.
     * @param {{infos?: import('./votable.js').Info[], services?: import('./votable.js').Service[], error?: string}} tail
     *   What stands behind the rows, or why they ended.
     */
    end(tail) {
        this.infos = tail.infos ?? this.infos;
        this.services = tail.services ?? this.services;
        const failed = this.infos.findLast((info) => info.name === "QUERY_STATUS" && info.value === "ERROR");
        this.error = tail.error ?? (failed === undefined ? "" : failed.text || "the service says no more than ERROR");
        this.isComplete = true;
        this.dispatchEvent(new Event("end"));
    }

    /**
     * Return the number of a column; -1 if there is none.
     * @param {(field: Field) => boolean} wanted Says whether it is the one.
     */
    column(wanted) {
        return this.fields.findIndex(wanted);
    }

    /**
     * Return a value.
     * @param {number} row Number of the row, from 0.
     * @param {number} column Number of the column, from 0.
     * @returns {Value}
     */
    value(row, column) {
        const place = this.#batch(row);
        const { nulls, values, ends } = this.batches[place].columns[column];
        const at = row - this.starts[place];
        if (nulls[at] === 1) return null;
        const field = this.fields[column];
        if (ends === null) return field.datatype === "boolean" ? values[at] === 1 : values[at];
        const begin = at === 0 ? 0 : ends[at - 1];
        if (isText(field)) return values.slice(begin, ends[at]);
        return this.#elements(field, values.subarray(begin, ends[at]));
    }

    /**
     * Return a value as a number; NaN for NULL and for what is none.
     * @param {number} row Number of the row.
     * @param {number} column Number of the column.
     */
    number(row, column) {
        const value = this.value(row, column);
        if (value === null || typeof value === "object") return NaN;
        return typeof value === "string" && value.trim() === "" ? NaN : Number(value);
    }

    /**
     * Return a value as text, each digit of it; empty for NULL.
     * @param {number} row Number of the row.
     * @param {number} column Number of the column.
     */
    text(row, column) {
        return textOf(this.value(row, column), this.fields[column]);
    }

    #elements(field, values) {
        if (field.datatype === "boolean") return Array.from(values, (one) => (one === 2 ? null : one === 1));
        const none = SMALLEST[field.datatype];
        return Array.from(values, (one) => (one === none ? null : one));
    }

    /** Return the number of the batch that has a row. */
    #batch(row) {
        const { starts, last } = this;
        if (row >= starts[last] && (last + 1 === starts.length || row < starts[last + 1])) return last;
        let low = 0;
        let high = starts.length - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (starts[middle] <= row) low = middle;
            else high = middle - 1;
        }
        this.last = low;
        return low;
    }
}

/**
 * Return a value as text, each digit of it; empty for NULL.
 * @param {Value} value The value.
 * @param {Field} field Its column.
 */
export function textOf(value, field) {
    if (value === null) return "";
    if (Array.isArray(value)) return value.map((one) => textOf(one, field)).join(" ");
    if (typeof value === "number" && field.datatype.startsWith("float")) return shortest(value);
    return String(value);
}

/** Return the shortest decimal number that a 32-bit float is read from. */
function shortest(value) {
    for (let digits = 6; digits < 9; digits += 1) {
        const text = Number(value.toPrecision(digits));
        if (Math.fround(text) === value) return String(text);
    }
    return String(value);
}

/**
 * Return the order of rows by the values of a column, NULL behind all others.
 * @param {Table} table The result.
 * @param {number} column Number of the column.
 * @param {boolean} isDescending Whether the largest comes first.
 * @returns {Uint32Array} Numbers of rows.
 */
export function sortedRows(table, column, isDescending) {
    const rows = Uint32Array.from({ length: table.length }, (_, row) => row);
    const field = table.fields[column];
    const keys = Array.from(rows, (row) => {
        const value = isArray(field) ? table.text(row, column) : table.value(row, column);
        return typeof value === "number" && Number.isNaN(value) ? null : value;
    });
    const sign = isDescending ? -1 : 1;
    return rows.sort((one, other) => {
        const a = keys[one];
        const b = keys[other];
        if (a === b) return one - other;
        if (a === null) return 1;
        if (b === null) return -1;
        return (a < b ? -sign : sign) || one - other;
    });
}
