/** Rows that are selected: grid, plot and sky show the same ones, and each may change them. */

/** A set of rows; an event `change` says that it is another one. */
export class Selection extends EventTarget {
    constructor() {
        super();
        /** @type {Set<number>} */
        this.rows = new Set();
        /** The row that was chosen last; -1 if none was. */
        this.current = -1;
    }

    /** How many rows are selected. */
    get size() {
        return this.rows.size;
    }

    /**
     * Return whether a row is selected.
     * @param {number} row Number of the row.
     */
    has(row) {
        return this.rows.has(row);
    }

    /**
     * Select these rows and no others.
     * @param {Iterable<number>} rows Numbers of rows.
     * @param {object} source Who says so; it is in the event, so that nobody answers himself.
     */
    set(rows, source) {
        this.rows = new Set(rows);
        this.#tell(source);
    }

    /**
     * Select a row if it is not, and the other way round.
     * @param {number} row Number of the row.
     * @param {object} source Who says so.
     */
    toggle(row, source) {
        if (!this.rows.delete(row)) this.rows.add(row);
        this.current = row;
        this.#tell(source);
    }

    /**
     * Select more rows.
     * @param {Iterable<number>} rows Numbers of rows.
     * @param {object} source Who says so.
     */
    add(rows, source) {
        for (const row of rows) this.rows.add(row);
        this.#tell(source);
    }

    #tell(source) {
        if (this.rows.size === 0) this.current = -1;
        else if (!this.rows.has(this.current)) [this.current] = this.rows;
        this.dispatchEvent(new CustomEvent("change", { detail: { source } }));
    }
}
