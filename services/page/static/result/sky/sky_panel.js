/** The panel of the sky: footprints and positions of rows, linked with the rows that are selected. */

import { make } from "../../dom.js";
import { parseRegion, shapesOf, skyColumns } from "./regions.js";
import { around, touches } from "./sphere.js";

const FRAME = new URL("../../../../../sky", import.meta.url);
const MOST_SHAPES = 10_000;
const MOST_LISTED = 100;
const LEAST_FOV = 0.002;
const ROOM = 2.4;

/**
 * Return the panel of the sky of a result.
 *
 * It sends an event `tapdb:cone` with `{ra_deg, dec_deg, radius_deg}`, which bubbles, for each cone that
 * somebody draws.
 * @param {import('../read/table.js').Table} table The result, complete.
 * @param {import('../selection.js').Selection} selection Its selected rows.
 * @param {string} region Footprint that is shown behind the rows; empty for none.
 * @returns {HTMLElement}
 */
export function skyPanel(table, selection, region) {
    const columns = skyColumns(table);
    const behind = parseRegion(region).map((shape) => ({ row: -1, ...shape }));
    if (columns === null && behind.length === 0) {
        return make("p", { class: "panel-note", text: "The result has no footprints and no positions in degrees." });
    }
    const shapes = columns === null ? [] : shapesOf(table, columns, MOST_SHAPES);
    return new SkyPanel(table, selection, [...behind, ...shapes]).element;
}

class SkyPanel {
    constructor(table, selection, shapes) {
        this.table = table;
        this.selection = selection;
        this.shapes = shapes;
        this.isReady = false;
        this.view = { ra: 0, dec: 0, fov: 1 };
        this.frame = make("iframe", {
            class: "sky-frame",
            title: "Sky with footprints and positions of the rows",
            src: FRAME.href,
            tabindex: "-1",
        });
        this.status = make("p", { class: "plot-status", "aria-live": "polite" });
        this.element = make("div", { class: "sky-panel" }, this.#controls(), this.frame, this.status);
        this.onMessage = (event) => {
            if (!this.element.isConnected && this.isReady) window.removeEventListener("message", this.onMessage);
            else if (event.source === this.frame.contentWindow && event.origin === window.location.origin)
                this.#told(event.data);
        };
        window.addEventListener("message", this.onMessage);
        selection.addEventListener("change", (event) => this.#select(event.detail.source));
    }

    #controls() {
        const button = (text, label, act) => {
            const made = make("button", { type: "button", class: "button", text, "aria-label": label });
            made.addEventListener("click", act);
            return made;
        };
        this.draw = make("input", { type: "checkbox" });
        this.draw.addEventListener("change", () => {
            this.#tell({ kind: "mode", isCone: this.draw.checked });
            this.#say(this.draw.checked ? "Click or drag on the sky: the cone goes into the query." : "");
        });
        return make(
            "div",
            { class: "plot-controls" },
            button("+", "Zoom in", () => this.#tell({ kind: "zoom", factor: 0.6 })),
            button("−", "Zoom out", () => this.#tell({ kind: "zoom", factor: 1.6 })),
            button("Show all", "Show all rows on the sky", () => this.#look(this.shapes)),
            button("Show selected", "Show selected rows on the sky", () => this.#look(this.#selected())),
            make("label", { class: "choice is-box" }, this.draw, make("span", { text: "draw a cone" })),
            this.#coneForm(),
        );
    }

    /** Return fields for a cone: the same as a drag, for keys. */
    #coneForm() {
        const field = (name, label) => {
            const input = make("input", { type: "number", step: "any", required: true, size: "9" });
            return { input, label: make("label", { class: "choice" }, make("span", { text: label }), input) };
        };
        this.fields = {
            ra: field("ra", "RA [deg]"),
            dec: field("dec", "Dec [deg]"),
            radius: field("radius", "Radius [deg]"),
        };
        this.fields.radius.input.min = "0";
        const [use, within] = ["Cone into the query", "Select rows within"].map((text) =>
            make("button", { type: "submit", class: "button", text }),
        );
        const form = make(
            "form",
            { class: "cone-form" },
            ...Object.values(this.fields).map(({ label }) => label),
            use,
            within,
        );
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            const cone = Object.fromEntries(
                Object.entries(this.fields).map(([name, { input }]) => [name, Number(input.value)]),
            );
            this.#tell({ kind: "cone", ...cone });
            if (event.submitter === within) {
                this.selection.set(
                    new Set(this.shapes.filter((shape) => touches(shape, cone)).map((shape) => shape.row)),
                    this,
                );
            } else this.#cone(cone);
        });
        return make("details", { class: "cone" }, make("summary", { text: "Cone" }), form);
    }

    #told(message) {
        if (message.kind === "ready") this.#begin();
        else if (message.kind === "failed") this.#fail(message.reason);
        else if (message.kind === "view") {
            this.view = message;
            this.#fill(message);
        } else if (message.kind === "picked") {
            this.selection.set(message.rows, this);
            if (message.rows.length === 0) this.#say(`No row at ${message.ra.toFixed(5)}, ${message.dec.toFixed(5)}.`);
        } else if (message.kind === "cone") this.#cone(message);
    }

    #begin() {
        this.isReady = true;
        this.frame.dataset.ready = "true";
        this.#tell({ kind: "shapes", shapes: this.shapes });
        this.#look(this.shapes);
        this.#select(null);
        const [count, placed] = [this.table.length, new Set(this.shapes.map((shape) => shape.row)).size];
        const text = (number) => number.toLocaleString("en");
        const some = count > MOST_SHAPES ? `The first ${text(MOST_SHAPES)} rows are drawn. ` : "";
        this.#say(`${some}${text(placed)} of ${text(count)} rows have a place.`);
    }

    /** Show rows as a table where there is no sky. */
    #fail(reason) {
        const names = ["row", "where"];
        const head = make("tr", {}, ...names.map((text) => make("th", { scope: "col", text })));
        const lines = this.shapes.slice(0, MOST_LISTED).map((shape) => {
            const { ra, dec } = around([shape]);
            const where = `${ra.toFixed(6)}, ${dec.toFixed(6)}`;
            return make("tr", {}, make("td", { text: String(shape.row + 1) }), make("td", { text: where }));
        });
        const note = `The sky cannot be drawn: ${reason}. These are the middles of the first rows, in degrees (ICRS).`;
        this.element.replaceChildren(
            make("p", { class: "panel-note", text: note }),
            make(
                "div",
                { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Positions of rows" },
                make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)),
            ),
        );
    }

    #cone(cone) {
        this.#fill(cone);
        this.#say(`Cone at ${cone.ra.toFixed(5)}, ${cone.dec.toFixed(5)}, radius ${cone.radius.toPrecision(3)}°`);
        const detail = { ra_deg: cone.ra, dec_deg: cone.dec, radius_deg: cone.radius };
        this.element.dispatchEvent(new CustomEvent("tapdb:cone", { detail, bubbles: true }));
    }

    /** Put a cone, or what is seen, into the fields. */
    #fill({ ra, dec, fov, radius }) {
        const { fields } = this;
        fields.ra.input.value = ra.toFixed(6);
        fields.dec.input.value = dec.toFixed(6);
        fields.radius.input.value = (radius ?? fov / 20).toPrecision(4);
    }

    #selected() {
        return this.shapes.filter((shape) => this.selection.has(shape.row));
    }

    #look(shapes) {
        if (shapes.length === 0) return;
        const { ra, dec, radius } = around(shapes);
        this.#tell({ kind: "view", ra, dec, fov: Math.min(180, Math.max(LEAST_FOV, ROOM * radius)) });
    }

    #select(source) {
        this.#tell({ kind: "selected", rows: [...this.selection.rows] });
        if (this.selection.size === 0) return;
        this.#say(`${this.selection.size.toLocaleString("en")} selected`);
        if (source !== this && source !== null && this.selection.size === 1) this.#centre();
    }

    /** Go to the row that is selected. */
    #centre() {
        const shapes = this.#selected();
        if (shapes.length === 0) return;
        const { ra, dec, radius } = around(shapes);
        const fov = Math.min(Math.max(this.view.fov, 3 * radius), Math.max(60 * radius, 1));
        this.#tell({ kind: "view", ra, dec, fov, isWidth: true });
    }

    #say(text) {
        this.status.textContent = text;
    }

    #tell(message) {
        if (this.isReady) this.frame.contentWindow.postMessage(message, window.location.origin);
    }
}
