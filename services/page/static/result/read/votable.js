/**
 * A VOTable 1.4 that comes in pieces: what it says of itself, its first table in batches, its end.
 *
 * Both serializations that a service of TAP writes are read, BINARY2 and TABLEDATA.
 */

import { BatchBuilder } from "./columns.js";
import { XmlReader } from "./xml.js";

const MOST_ROWS = 16384;
const LETTERS = new Uint8Array(128).fill(255);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((letter, value) => {
    LETTERS[letter.charCodeAt(0)] = value;
});

/** @typedef {import('./columns.js').Field} Field */
/** @typedef {import('./columns.js').Batch} Batch */
/** @typedef {{name: string, value: string, text: string}} Info */
/** @typedef {{name: string, value: string, ref: string}} Param */
/** @typedef {{id: string, description: string, params: Param[], inputs: Param[]}} Service */

/**
 * @typedef {object} VotableHandler
 * @property {(head: {fields: Field[], infos: Info[]}) => void} head Called before the rows.
 * @property {(batch: Batch) => void} batch Called with rows.
 */

/** Reads a VOTable and calls a handler. */
export class VotableReader {
    /** @param {VotableHandler} handler What is called. */
    constructor(handler) {
        this.handler = handler;
        /** @type {Field[]} */
        this.fields = [];
        /** @type {Info[]} */
        this.infos = [];
        /** @type {Service[]} */
        this.services = [];
        this.path = [];
        this.content = "";
        this.decoder = new TextDecoder("utf-8");
        this.xml = new XmlReader({
            open: (name, attributes) => this.#open(name, attributes),
            close: (name) => this.#close(name),
            text: (text) => this.#text(text),
        });
        /** @type {BatchBuilder | null} */
        this.builder = null;
        this.isHeadTold = false;
        this.bytes = new Uint8Array(0);
        this.letters = "";
        this.isDone = false;
        this.cells = [];
    }

    /**
     * Read a further piece, and give the rows that are whole now.
     * @param {Uint8Array} piece The piece.
     */
    feed(piece) {
        this.xml.feed(this.decoder.decode(piece, { stream: true }));
        this.#give();
    }

    /**
     * Say that all has come.
     * @returns {{infos: Info[], services: Service[]}} All that the document says beside its rows.
     * @throws {Error} If the document is not whole.
     */
    end() {
        this.xml.feed(this.decoder.decode());
        this.xml.end();
        if (this.path.length > 0 || (!this.isHeadTold && this.infos.length === 0)) {
            throw new Error("the answer ends too early: the connection was lost, or the service stopped");
        }
        if (!this.isHeadTold) this.#tellHead();
        this.#give();
        // An error of the service ends the rows anywhere, and is said behind them.
        const isError = this.infos.some((info) => info.name === "QUERY_STATUS" && info.value === "ERROR");
        if (this.bytes.length > 0 && !isError) throw new Error("the last row is not complete");
        return { infos: this.infos, services: this.services };
    }

    #tellHead() {
        this.isHeadTold = true;
        this.handler.head({ fields: this.fields, infos: [...this.infos] });
    }

    #give() {
        if (this.builder !== null && this.builder.rows > 0) this.handler.batch(this.builder.take());
    }

    #open(name, attributes) {
        this.path.push(name);
        this.content = "";
        if (name === "FIELD" && !this.isDone) this.fields.push(fieldOf(attributes));
        else if (name === "INFO") {
            this.infos.push({ name: attributes.name ?? "", value: attributes.value ?? "", text: "" });
        } else if (name === "VALUES" && this.path.at(-2) === "FIELD" && !this.isDone) {
            this.fields.at(-1).nullText = attributes.null ?? "";
        } else if (name === "RESOURCE" && attributes.utype === "adhoc:service") {
            this.services.push({ id: attributes.ID ?? "", description: "", params: [], inputs: [] });
        } else if (name === "PARAM" && this.services.length > 0) {
            const { params, inputs } = this.services.at(-1);
            const given = { name: attributes.name ?? "", value: attributes.value ?? "", ref: attributes.ref ?? "" };
            (this.path.includes("GROUP") ? inputs : params).push(given);
        } else if ((name === "BINARY2" || name === "TABLEDATA") && !this.isDone) {
            this.builder = new BatchBuilder(this.fields);
            this.#tellHead();
        } else if (name === "TR") this.cells = [];
        else if (name === "BINARY" || name === "FITS") throw new Error(`rows in ${name} are not read here`);
    }

    #text(text) {
        if (this.path.at(-1) === "STREAM" && !this.isDone) this.#stream(text);
        else this.content += text;
    }

    #close(name) {
        this.path.pop();
        if (name === "DESCRIPTION") this.#describe();
        else if (name === "INFO") this.infos.at(-1).text = this.content.trim();
        else if (name === "TD") this.cells.push(this.content);
        else if (name === "TR" && !this.isDone) {
            this.builder.row(this.cells);
            if (this.builder.rows >= MOST_ROWS) this.#give();
        } else if (name === "TABLE") {
            if (!this.isDone && !this.isHeadTold) this.#tellHead();
            this.isDone = true;
        }
        this.content = "";
    }

    #describe() {
        const parent = this.path.at(-1);
        const text = this.content.trim();
        if (parent === "FIELD" && !this.isDone) this.fields.at(-1).description = text;
        else if (parent === "RESOURCE" && this.services.length > 0) this.services.at(-1).description = text;
    }

    /** Take base64, cut anywhere: bytes of rows. */
    #stream(text) {
        this.letters += text;
        const whole = decoded(this.letters);
        this.letters = whole.rest;
        let bytes = whole.bytes;
        if (this.bytes.length > 0) {
            bytes = new Uint8Array(this.bytes.length + whole.bytes.length);
            bytes.set(this.bytes);
            bytes.set(whole.bytes, this.bytes.length);
        }
        const taken = this.builder.binary(bytes);
        this.bytes = bytes.slice(taken);
        if (this.builder.rows >= MOST_ROWS) this.#give();
    }
}

/** Return the bytes of base64 as far as they are whole, and the letters that are left. */
function decoded(text) {
    const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4));
    let size = 0;
    let bits = 0;
    let count = 0;
    let begin = 0;
    for (let place = 0; place < text.length; place += 1) {
        const letter = text.charCodeAt(place);
        const value = letter < 128 ? LETTERS[letter] : 255;
        if (value === 255) {
            if (letter === 61 || letter <= 32) continue;
            throw new Error("the rows are no base64");
        }
        bits = (bits << 6) | value;
        count += 1;
        if (count === 4) {
            bytes[size] = bits >> 16;
            bytes[size + 1] = bits >> 8;
            bytes[size + 2] = bits;
            size += 3;
            bits = 0;
            count = 0;
            begin = place + 1;
        }
    }
    // The last letters are followed by "=": then what is left is whole.
    if (count > 1 && text.indexOf("=", begin) >= 0) {
        bytes[size] = count === 2 ? bits >> 4 : bits >> 10;
        if (count === 3) bytes[size + 1] = bits >> 2;
        size += count - 1;
        begin = text.length;
    }
    return { bytes: bytes.subarray(0, size), rest: text.slice(begin) };
}

/** @returns {Field} A column as its FIELD describes it. */
function fieldOf(attributes) {
    return {
        id: attributes.ID ?? "",
        name: attributes.name ?? "",
        datatype: attributes.datatype ?? "char",
        arraysize: attributes.arraysize ?? "",
        xtype: attributes.xtype ?? "",
        unit: attributes.unit ?? "",
        ucd: attributes.ucd ?? "",
        utype: attributes.utype ?? "",
        description: "",
        nullText: "",
    };
}
