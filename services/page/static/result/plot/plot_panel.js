/** The panel of plots: what is drawn of which columns, chosen in lists. */

import { make } from "../../dom.js";
import { Plot } from "./plot.js";
import { columnsOf, isMagnitude, usualChoice } from "./points.js";

const UPLOT = new URL("../../../vendor/uplot.js", import.meta.url);
const KINDS = { scatter: "Scatter", lightcurve: "Light curve", histogram: "Histogram" };

/**
 * Return the panel of plots of a result.
 * @param {import('../read/table.js').Table} table The result, complete.
 * @param {import('../selection.js').Selection} selection Its selected rows.
 * @returns {Promise<HTMLElement>}
 */
export async function plotPanel(table, selection) {
    const choice = usualChoice(table);
    if (choice === null)
        return make("p", { class: "panel-note", text: "The result has no column of numbers to plot." });
    let module;
    try {
        module = await import(UPLOT.href);
    } catch {
        const text =
            "Plots need uPlot, which is not installed here: its operator runs make setup. The rows are in the table.";
        return make("p", { class: "panel-note", text });
    }
    const plot = new Plot(module.default, table, selection);
    return new Controls(table, plot, choice).element;
}

/** Lists and boxes beside a plot. */
class Controls {
    constructor(table, plot, choice) {
        this.table = table;
        this.plot = plot;
        this.choice = choice;
        const { numbers, groups } = columnsOf(table);
        const listed = (columns) => columns.map((column) => [String(column), table.fields[column].name]);
        const none = ["-1", "—"];
        this.parts = {
            kind: select("Plot", Object.entries(KINDS)),
            x: select("x", listed(numbers)),
            y: select("y", listed(numbers)),
            xError: select("± x", [none, ...listed(numbers)]),
            yError: select("± y", [none, ...listed(numbers)]),
            group: select("Colour", [none, ...listed(groups)]),
            bins: select(
                "Bins",
                ["10", "20", "40", "80", "160"].map((one) => [one, one]),
            ),
            isLogX: box("log x"),
            isLogY: box("log y"),
            isInverted: box("y downwards"),
            isMagnitude: box("as magnitude"),
        };
        const zoom = box("drag zooms");
        zoom.input.addEventListener("change", () => {
            plot.isZooming = zoom.input.checked;
        });
        const reset = make("button", { type: "button", class: "button", text: "Show all" });
        reset.addEventListener("click", () => plot.reset());
        const labels = Object.values(this.parts).map((part) => part.label);
        const form = make("div", { class: "plot-controls" }, ...labels, zoom.label, reset);
        form.addEventListener("change", (event) => this.#read(event.target));
        this.element = make("div", { class: "plot-panel" }, form, plot.element);
        this.#write();
        // The canvas has a size once it is in the page.
        requestAnimationFrame(() => plot.draw(this.choice));
    }

    #write() {
        const { choice, parts, table } = this;
        for (const name of ["kind", "x", "y", "xError", "yError", "group", "bins"])
            parts[name].input.value = String(choice[name]);
        for (const name of ["isLogX", "isLogY", "isInverted", "isMagnitude"]) parts[name].input.checked = choice[name];
        const isHistogram = choice.kind === "histogram";
        for (const name of ["y", "xError", "yError", "group", "isInverted"]) parts[name].label.hidden = isHistogram;
        parts.bins.label.hidden = !isHistogram;
        parts.isMagnitude.label.hidden = isHistogram || table.fields[choice.y].unit !== "nJy";
    }

    #read(changed) {
        const { parts, table } = this;
        const value = (name) => Number(parts[name].input.value);
        const before = this.choice;
        const choice = {
            kind: parts.kind.input.value,
            x: value("x"),
            y: value("y"),
            xError: value("xError"),
            yError: value("yError"),
            group: value("group"),
            bins: value("bins"),
            isLogX: parts.isLogX.input.checked,
            isLogY: parts.isLogY.input.checked,
            isInverted: parts.isInverted.input.checked,
            isMagnitude: parts.isMagnitude.input.checked,
        };
        if (choice.y !== before.y) {
            choice.isInverted = isMagnitude(table.fields[choice.y]);
            choice.isMagnitude = choice.isMagnitude && table.fields[choice.y].unit === "nJy";
        }
        if (changed === parts.isMagnitude.input) choice.isInverted = choice.isMagnitude;
        this.choice = choice;
        this.#write();
        this.plot.draw(choice);
    }
}

function select(name, options) {
    const input = make("select", {}, ...options.map(([value, text]) => make("option", { value, text })));
    return { input, label: make("label", { class: "choice" }, make("span", { text: name }), input) };
}

function box(name) {
    const input = make("input", { type: "checkbox" });
    return { input, label: make("label", { class: "choice is-box" }, input, make("span", { text: name })) };
}
