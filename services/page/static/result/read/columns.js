/**
 * Values of a result by column: typed arrays a batch, as BINARY2 and TABLEDATA of VOTable 1.4 hold them.
 *
 * A batch can be handed from a worker to a page without a copy. Whole numbers of 64 bits stay whole.
 */

/**
 * @typedef {object} Field
 * @property {string} id ID of the FIELD.
 * @property {string} name Name.
 * @property {string} datatype Datatype of VOTable.
 * @property {string} arraysize Shape; empty for a single value.
 * @property {string} xtype Extended type of DALI.
 * @property {string} unit VOUnits string.
 * @property {string} ucd UCD1+ words.
 * @property {string} utype Place in a data model.
 * @property {string} description Meaning.
 * @property {string} nullText Text that stands for NULL, of VALUES.
 */

/**
 * @typedef {object} ColumnBatch
 * @property {Uint8Array} nulls 1 for each NULL.
 * @property {any} values Values; of a text all letters of the batch, of arrays all elements.
 * @property {Uint32Array | null} ends Where each text or array ends in `values`; null for single values.
 */

/** @typedef {{rows: number, columns: ColumnBatch[]}} Batch */

const NUMBERS = {
    boolean: [Uint8Array, 1, "getUint8"],
    bit: [Uint8Array, 1, "getUint8"],
    unsignedByte: [Uint8Array, 1, "getUint8"],
    short: [Int16Array, 2, "getInt16"],
    int: [Int32Array, 4, "getInt32"],
    long: [BigInt64Array, 8, "getBigInt64"],
    float: [Float32Array, 4, "getFloat32"],
    double: [Float64Array, 8, "getFloat64"],
    floatComplex: [Float32Array, 4, "getFloat32"],
    doubleComplex: [Float64Array, 8, "getFloat64"],
};
const TEXTS = { char: 1, unicodeChar: 2 };
const TRUE = new Set([0x54, 0x74, 0x31]);
const FALSE = new Set([0x46, 0x66, 0x30]);

/**
 * Return whether a column holds text.
 * @param {Field} field The column.
 */
export function isText(field) {
    return field.datatype in TEXTS;
}

/**
 * Return whether a column holds several values in a cell.
 * @param {Field} field The column.
 */
export function isArray(field) {
    return !isText(field) && (field.arraysize !== "" || field.datatype.endsWith("Complex"));
}

/**
 * Return whether a column holds single numbers.
 * @param {Field} field The column.
 */
export function isNumber(field) {
    return !isText(field) && !isArray(field) && field.datatype !== "boolean";
}

/** Grows a typed array as values come. */
class Growing {
    constructor(kind, size = 1024) {
        this.values = new kind(size);
        this.length = 0;
    }

    /** Make room for some more values. */
    room(more) {
        if (this.length + more > this.values.length) {
            const larger = new this.values.constructor(Math.max(2 * this.values.length, this.length + more));
            larger.set(this.values);
            this.values = larger;
        }
    }

    push(value) {
        this.room(1);
        this.values[this.length] = value;
        this.length += 1;
    }

    append(values) {
        this.room(values.length);
        this.values.set(values, this.length);
        this.length += values.length;
    }

    taken() {
        return this.values.slice(0, this.length);
    }
}

/** Collects the values of one column. */
class Builder {
    /** @param {Field} field The column. */
    constructor(field) {
        this.field = field;
        this.width = TEXTS[field.datatype] ?? 0;
        this.isVariable = field.arraysize.endsWith("*");
        this.isArray = isArray(field);
        this.size = shape(field);
        const number = NUMBERS[field.datatype];
        if (number === undefined && this.width === 0) {
            throw new Error(`the column ${field.name} has the datatype ${field.datatype}, which is not known`);
        }
        [this.kind, this.bytes, this.getter] = number ?? [Uint8Array, this.width, "getUint8"];
        this.clear();
    }

    clear() {
        this.nulls = new Growing(Uint8Array);
        this.values = new Growing(this.kind);
        this.ends = this.width > 0 || this.isArray ? new Growing(Uint32Array) : null;
        /** @type {string[]} */
        this.texts = [];
    }

    /** Forget what has come of a row that is not complete. */
    rewind(rows) {
        this.nulls.length = rows;
        this.texts.length = Math.min(rows, this.texts.length);
        if (this.ends === null) {
            this.values.length = rows;
            return;
        }
        this.ends.length = rows;
        this.values.length = rows === 0 ? 0 : this.ends.values[rows - 1];
    }

    /** Take a cell of BINARY2; return where the next one begins. A RangeError says that it is not complete. */
    binary(view, place, isNull) {
        let count = this.size;
        if (this.isVariable) {
            count = view.getUint32(place);
            place += 4;
        }
        const end = place + count * this.bytes;
        if (end > view.byteLength) throw new RangeError("more is to come");
        if (this.width > 0) this.values.append(new Uint8Array(view.buffer, view.byteOffset + place, end - place));
        else this.#numbers(view, place, count, isNull);
        if (this.ends !== null) this.ends.push(this.values.length);
        this.nulls.push(isNull ? 1 : 0);
        return end;
    }

    #numbers(view, place, count, isNull) {
        const isBoolean = this.field.datatype === "boolean";
        for (let number = 0; number < count; number += 1) {
            const value = view[this.getter](place + number * this.bytes);
            if (!isBoolean) this.values.push(value);
            else if (this.isArray) this.values.push(TRUE.has(value) ? 1 : FALSE.has(value) ? 0 : 2);
            else {
                this.values.push(TRUE.has(value) ? 1 : 0);
                if (!isNull && !TRUE.has(value) && !FALSE.has(value))
                    throw new Error(`${this.field.name}: no truth value`);
            }
        }
    }

    /** Take a cell of TABLEDATA. */
    text(cell) {
        const { field } = this;
        const isNull = cell === "" || (field.nullText !== "" && !this.isArray && cell.trim() === field.nullText);
        this.nulls.push(isNull ? 1 : 0);
        if (this.width > 0) this.texts.push(cell);
        else if (isNull && this.ends === null) this.values.push(this.kind === BigInt64Array ? 0n : 0);
        else if (!isNull)
            cell.trim()
                .split(/\s+/)
                .forEach((one) => this.values.push(this.#parsed(one)));
        if (this.ends !== null && this.width === 0) this.ends.push(this.values.length);
    }

    #parsed(word) {
        if (this.kind === BigInt64Array) return BigInt(word);
        if (this.field.datatype === "boolean")
            return /^(t|true|1)$/i.test(word) ? 1 : /^(f|false|0)$/i.test(word) ? 0 : 2;
        if (/^[+-]?inf/i.test(word)) return word.startsWith("-") ? -Infinity : Infinity;
        return Number(word);
    }

    /** @returns {ColumnBatch} What has come. */
    take() {
        const nulls = this.nulls.taken();
        if (this.width === 0) {
            return { nulls, values: this.values.taken(), ends: this.ends === null ? null : this.ends.taken() };
        }
        if (this.texts.length > 0) return { nulls, ...joined(this.texts) };
        return { nulls, ...this.#decoded() };
    }

    /** Return letters and where each text ends, of bytes. */
    #decoded() {
        const bytes = this.values.values.subarray(0, this.values.length);
        const ends = this.ends.taken();
        if (this.width === 2) {
            return { values: new TextDecoder("utf-16be").decode(bytes), ends: ends.map((end) => end / 2) };
        }
        if (!bytes.some((byte) => byte > 127)) return { values: new TextDecoder().decode(bytes), ends };
        // VOTable 1.4 says ASCII; others write UTF-8, whose letters have more bytes than one.
        const texts = Array.from(ends, (end, row) => {
            return new TextDecoder().decode(bytes.subarray(row === 0 ? 0 : ends[row - 1], end));
        });
        return joined(texts);
    }
}

function joined(texts) {
    let length = 0;
    const ends = Uint32Array.from(texts, (text) => (length += text.length));
    return { values: texts.join(""), ends };
}

/** Return how many elements a cell of fixed length has. */
function shape(field) {
    const sizes = field.arraysize === "" ? [] : field.arraysize.replace(/\*$/, "").split("x").filter(Boolean);
    const count = sizes.map(Number).reduce((product, size) => product * size, 1);
    return field.datatype.endsWith("Complex") ? 2 * count : count;
}

/** Collects rows, and gives them away as batches. */
export class BatchBuilder {
    /** @param {Field[]} fields Columns. */
    constructor(fields) {
        this.builders = fields.map((field) => new Builder(field));
        this.flagBytes = Math.ceil(fields.length / 8);
        this.rows = 0;
    }

    /**
     * Take as many rows as some bytes of BINARY2 have whole.
     * @param {Uint8Array} bytes The bytes.
     * @returns {number} How many bytes were taken.
     */
    binary(bytes) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        let place = 0;
        while (place < bytes.length) {
            try {
                place = this.#row(view, place);
            } catch (error) {
                if (!(error instanceof RangeError)) throw error;
                this.builders.forEach((builder) => builder.rewind(this.rows));
                break;
            }
        }
        return place;
    }

    #row(view, begin) {
        let place = begin + this.flagBytes;
        for (let column = 0; column < this.builders.length; column += 1) {
            const isNull = (view.getUint8(begin + (column >> 3)) & (0x80 >> (column & 7))) !== 0;
            place = this.builders[column].binary(view, place, isNull);
        }
        this.rows += 1;
        return place;
    }

    /**
     * Take a row of TABLEDATA.
     * @param {string[]} cells Its cells.
     */
    row(cells) {
        this.builders.forEach((builder, column) => builder.text(cells[column] ?? ""));
        this.rows += 1;
    }

    /**
     * Give away the rows that have come.
     * @returns {Batch} The rows.
     */
    take() {
        const batch = { rows: this.rows, columns: this.builders.map((builder) => builder.take()) };
        this.builders.forEach((builder) => builder.clear());
        this.rows = 0;
        return batch;
    }
}
