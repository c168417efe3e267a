/**
 * XML that comes in pieces, as its tags and texts: what a VOTable needs of XML 1.0, without a tree.
 *
 * A Web Worker has no DOMParser, and a tree of a hundred thousand rows would not be small.
 */

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const ATTRIBUTE = /([^\s=/]+)\s*=\s*("([^"]*)"|'([^']*)')/g;

/**
 * @typedef {object} XmlHandler
 * @property {(name: string, attributes: Record<string, string>) => void} open Called at a start tag, without the prefix of its name.
 * @property {(name: string) => void} close Called at an end tag.
 * @property {(text: string) => void} text Called with text, cut anywhere.
 */

/** Reads XML and calls a handler. */
export class XmlReader {
    /** @param {XmlHandler} handler What is called. */
    constructor(handler) {
        this.handler = handler;
        this.rest = "";
    }

    /**
     * Read a further piece.
     * @param {string} piece The piece.
     * @throws {Error} If it is no XML, or has a document type, which no result needs.
     */
    feed(piece) {
        const content = this.rest + piece;
        let place = 0;
        while (place < content.length) {
            const next = content[place] === "<" ? this.#markup(content, place) : this.#text(content, place);
            if (next < 0) break;
            place = next;
        }
        this.rest = content.slice(place);
    }

    /**
     * Say that all has come.
     * @throws {Error} If a tag is not complete.
     */
    end() {
        if (this.rest.trim() !== "") throw new Error("the document ends within a tag");
    }

    /** Hand on the text up to the next tag, but not a part of a reference. */
    #text(content, place) {
        let end = content.indexOf("<", place);
        if (end < 0) {
            end = content.length;
            const reference = content.lastIndexOf("&");
            if (reference >= place && content.indexOf(";", reference) < 0) end = reference;
            if (end === place) return -1;
        }
        this.handler.text(unescaped(content.slice(place, end)));
        return end;
    }

    /** Hand on one tag; return where the next thing begins, -1 if it is not complete. */
    #markup(content, place) {
        if (content.startsWith("<!--", place)) return after(content, "-->", place);
        if (content.startsWith("<?", place)) return after(content, "?>", place);
        if (content.startsWith("<![CDATA[", place)) {
            const end = after(content, "]]>", place);
            if (end > 0) this.handler.text(content.slice(place + 9, end - 3));
            return end;
        }
        if ("<![CDATA[".startsWith(content.slice(place)) || "<!--".startsWith(content.slice(place))) return -1;
        if (content[place + 1] === "!") throw new Error("the document has a document type");
        const end = endOfTag(content, place);
        if (end < 0) return -1;
        this.#tag(content.slice(place + 1, end));
        return end + 1;
    }

    #tag(tag) {
        if (tag[0] === "/") {
            this.handler.close(local(tag.slice(1).trim()));
            return;
        }
        const isEmpty = tag.endsWith("/");
        const name = local(/^[^\s/]+/.exec(tag)?.[0] ?? "");
        /** @type {Record<string, string>} */
        const attributes = {};
        for (const [, key, , double, single] of tag.matchAll(ATTRIBUTE)) {
            attributes[key] = unescaped(double ?? single);
        }
        this.handler.open(name, attributes);
        if (isEmpty) this.handler.close(name);
    }
}

/** Return a name without its prefix. */
function local(name) {
    return name.slice(name.indexOf(":") + 1);
}

function after(content, mark, place) {
    const found = content.indexOf(mark, place);
    return found < 0 ? -1 : found + mark.length;
}

/** Return where a tag ends: a value of an attribute may have a ">" in it. */
function endOfTag(content, place) {
    let quote = "";
    for (let at = place + 1; at < content.length; at += 1) {
        const letter = content[at];
        if (quote !== "") {
            if (letter === quote) quote = "";
        } else if (letter === '"' || letter === "'") quote = letter;
        else if (letter === ">") return at;
    }
    return -1;
}

function unescaped(text) {
    if (!text.includes("&")) return text;
    return text.replace(/&(#x?)?([^;]+);/g, (whole, kind, name) => {
        if (kind === undefined) return ENTITIES[name] ?? whole;
        return String.fromCodePoint(Number.parseInt(name, kind === "#" ? 10 : 16));
    });
}
