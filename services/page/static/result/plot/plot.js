/**
 * A plot of any columns: uPlot draws axes and takes the mouse, points and bars are drawn here.
 *
 * A drag selects rows or zooms. Arrow keys go from point to point, and what they stand on is said.
 */

import { make } from "../../dom.js";
import { axisLabel, binsOf, extent, pointsOf, readable, tickTexts, unitOf } from "./points.js";

const COLOURS = ["--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-6", "--plot-7", "--plot-8"];
const NEAR_PX = 12;
const STEP_IN = 0.7;
const MOST_SOLID = 2000;
const LETTER_PX = 7;

/** Return how wide the widest of some texts of an axis is. */
function widest(texts) {
    return LETTER_PX * Math.max(0, ...texts.map((text) => text.length));
}

/** Return how far apart texts of an axis have to be, so that none stands in the next. */
function roomOf(texts, low, high) {
    return Math.max(50, widest(texts(Array.from({ length: 9 }, (_, place) => low + ((high - low) * place) / 8))) + 12);
}

/** Draws a choice of columns. */
export class Plot {
    /**
     * @param {any} uPlot The class of that name.
     * @param {import('../read/table.js').Table} table The result.
     * @param {import('../selection.js').Selection} selection Its selected rows.
     */
    constructor(uPlot, table, selection) {
        this.uPlot = uPlot;
        this.table = table;
        this.selection = selection;
        this.isZooming = false;
        this.place = -1;
        this.status = make("p", { class: "plot-status", "aria-live": "polite" });
        this.legend = make("p", { class: "plot-legend" });
        this.canvas = make("div", {
            class: "plot-canvas",
            tabindex: "0",
            role: "application",
            "aria-roledescription": "plot",
        });
        this.element = make("div", { class: "plot" }, this.canvas, this.legend, this.status);
        this.canvas.addEventListener("keydown", (event) => this.#key(event));
        selection.addEventListener("change", () => {
            if (this.chart === undefined) return;
            this.chart.redraw(false);
            this.#tell();
        });
        new ResizeObserver(() => this.#resize()).observe(this.canvas);
        matchMedia("(prefers-color-scheme: dark)").addEventListener(
            "change",
            () => this.choice && this.draw(this.choice),
        );
    }

    /**
     * Draw a choice.
     * @param {import('./points.js').PlotChoice} choice What is drawn.
     */
    draw(choice) {
        this.choice = choice;
        this.points = pointsOf(this.table, choice);
        this.bins = choice.kind === "histogram" ? binsOf(this.points, choice) : null;
        this.byX = Uint32Array.from(this.points.x, (_, place) => place).sort(
            (one, other) => this.points.x[one] - this.points.x[other],
        );
        this.place = -1;
        this.whole = this.#whole();
        this.view = { x: [...this.whole.x], y: [...this.whole.y] };
        this.units = { x: unitOf(this.whole.x, choice.isLogX), y: unitOf(this.whole.y, choice.isLogY) };
        this.#make();
        this.#tell();
    }

    /** See all points again. */
    reset() {
        this.view = { x: [...this.whole.x], y: [...this.whole.y] };
        this.#show();
    }

    #whole() {
        const { choice, points, bins } = this;
        const x = extent(bins === null ? points.x : bins.edges, choice.isLogX);
        if (bins !== null) return { x, y: [choice.isLogY ? 0.5 : 0, Math.max(1, ...bins.counts) * 1.05] };
        return { x, y: extent(points.y, choice.isLogY) };
    }

    #make() {
        const { choice } = this;
        const style = getComputedStyle(this.canvas);
        const colour = (name) => style.getPropertyValue(name).trim();
        this.colours = {
            groups: COLOURS.map(colour),
            text: colour("--text"),
            line: colour("--line"),
            selected: colour("--plot-selected"),
        };
        const field = this.table.fields[choice.x];
        const label = {
            x: axisLabel(field),
            y: this.bins ? "rows" : axisLabel(this.table.fields[choice.y], choice.isMagnitude),
        };
        const real = (values, name) => values.map((one) => (one === null ? null : one * this.units[name]));
        const texts = {
            x: (values) => tickTexts(real(values, "x"), choice.isLogX),
            y: (values) => tickTexts(real(values, "y"), choice.isLogY),
        };
        const axis = (name, more) => ({
            label: label[name],
            values: (_, values) => texts[name](values),
            stroke: this.colours.text,
            grid: { stroke: this.colours.line, width: 1 },
            ticks: { stroke: this.colours.line, width: 1 },
            font: "12px system-ui",
            labelFont: "13px system-ui",
            ...more,
        });
        const scale = (name, isLog, dir = 1) => ({
            time: false,
            auto: false,
            dir,
            distr: isLog ? 3 : 1,
            range: () => this.#shown(name),
        });
        this.chart?.destroy();
        this.chart = new this.uPlot(
            {
                ...this.#size(),
                scales: {
                    x: scale("x", choice.isLogX),
                    y: scale("y", choice.isLogY, choice.isInverted && !this.bins ? -1 : 1),
                },
                axes: [
                    axis("x", { size: 44, space: (_chart, _axis, low, high) => roomOf(texts.x, low, high) }),
                    axis("y", { size: (_, found) => Math.max(64, widest(found ?? []) + 24) }),
                ],
                series: [{}, { paths: () => null, points: { show: false } }],
                cursor: { points: { show: false }, drag: { x: true, y: true, setScale: false, dist: 4 } },
                legend: { show: false },
                hooks: { draw: [(chart) => this.#paint(chart)], setSelect: [(chart) => this.#dragged(chart)] },
            },
            [this.#shown("x"), this.#shown("y")],
            this.canvas,
        );
        this.chart.over.addEventListener("click", (event) => this.#click(event));
        this.chart.over.addEventListener("dblclick", () => this.reset());
        const names = [label.x, label.y].join(" against ");
        this.canvas.setAttribute(
            "aria-label",
            `${this.#kind()} of ${names}, ${this.points.x.length} points. Arrow keys go from point to point, Enter selects, plus and minus zoom, 0 shows all.`,
        );
        this.legend.replaceChildren(
            ...(choice.group < 0 ? [] : this.points.groups.map((name, number) => this.#legendKey(name, number))),
        );
    }

    #kind() {
        return { scatter: "Scatter plot", lightcurve: "Light curve", histogram: "Histogram" }[this.choice.kind];
    }

    #legendKey(name, number) {
        const dot = make("span", { class: "plot-dot", "aria-hidden": "true" });
        dot.style.background = this.colours.groups[number];
        return make("span", { class: "plot-key" }, dot, name);
    }

    #size() {
        return { width: Math.max(200, this.canvas.clientWidth), height: Math.max(180, this.canvas.clientHeight) };
    }

    #resize() {
        if (this.chart !== undefined) this.chart.setSize(this.#size());
    }

    #show() {
        const { choice, units, view } = this;
        this.view = { x: readable(view.x, choice.isLogX, units.x), y: readable(view.y, choice.isLogY, units.y) };
        this.chart.setData([this.#shown("x"), this.#shown("y")]);
        this.chart.redraw(false, true);
    }

    /** Return the ends of an axis as uPlot has them, which draws neither very small nor very large steps. */
    #shown(name) {
        return this.view[name].map((one) => one / this.units[name]);
    }

    /** Return where a value is drawn. */
    #at(chart, value, name) {
        return chart.valToPos(value / this.units[name], name, true);
    }

    // -- drawing
    // --------------------------------------------------------------------------------------------------------

    #paint(chart) {
        const { ctx, bbox } = chart;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        if (this.bins !== null) this.#paintBins(chart, ctx);
        else this.#paintPoints(chart, ctx);
        ctx.restore();
    }

    #paintBins(chart, ctx) {
        const { edges, counts, places } = this.bins;
        const selected = new Uint32Array(counts.length);
        places.forEach((bin, place) => {
            if (this.selection.has(this.points.row[place])) selected[bin] += 1;
        });
        const floor = this.#at(chart, this.view.y[0], "y");
        for (const [amounts, colour] of [
            [counts, this.colours.groups[0]],
            [selected, this.colours.selected],
        ]) {
            ctx.fillStyle = colour;
            amounts.forEach((amount, bin) => {
                if (amount === 0) return;
                const left = this.#at(chart, edges[bin], "x");
                const top = this.#at(chart, amount, "y");
                ctx.fillRect(left, top, Math.max(1, this.#at(chart, edges[bin + 1], "x") - left - 1), floor - top);
            });
        }
        if (this.place >= 0) this.#ring(ctx, this.#at(chart, this.points.x[this.place], "x"), floor - 8);
    }

    #paintPoints(chart, ctx) {
        const { x, y, group, row } = this.points;
        const ratio = devicePixelRatio;
        const isFew = x.length <= MOST_SOLID;
        const radius = (isFew ? 3 : 1.5) * ratio;
        const [left, top] = [new Float64Array(x.length), new Float64Array(x.length)];
        x.forEach((value, place) => {
            left[place] = this.#at(chart, value, "x");
            top[place] = this.#at(chart, y[place], "y");
        });
        this.drawn = { left, top, ratio };
        for (let number = 0; number < COLOURS.length; number += 1) {
            ctx.fillStyle = ctx.strokeStyle = this.colours.groups[number];
            const path = new Path2D();
            group.forEach((one, place) => {
                if (one !== number) return;
                this.#errors(chart, path, place, left[place], top[place]);
                if (isFew) path.moveTo(left[place] + radius, top[place]);
            });
            ctx.lineWidth = ratio;
            ctx.globalAlpha = 0.55;
            ctx.stroke(path);
            ctx.globalAlpha = isFew ? 0.9 : 0.6;
            this.#dots(ctx, radius, (place) => group[place] === number);
        }
        ctx.globalAlpha = 1;
        if (this.selection.size > 0) {
            ctx.fillStyle = this.colours.selected;
            this.#dots(ctx, radius + ratio, (place) => this.selection.has(row[place]));
        }
        if (this.place >= 0) this.#ring(ctx, left[this.place], top[this.place]);
    }

    #dots(ctx, radius, isDrawn) {
        const { left, top } = this.drawn;
        const isRound = radius > 2;
        ctx.beginPath();
        left.forEach((at, place) => {
            if (!isDrawn(place)) return;
            if (!isRound) {
                ctx.rect(at - radius, top[place] - radius, 2 * radius, 2 * radius);
                return;
            }
            ctx.moveTo(at + radius, top[place]);
            ctx.arc(at, top[place], radius, 0, 2 * Math.PI);
        });
        ctx.fill();
    }

    #errors(chart, path, place, left, top) {
        const { x, y, xError, yError } = this.points;
        const { isLogX, isLogY } = this.choice;
        // An error that reaches below zero reaches to the end of a logarithmic axis.
        const end = (value, name, isLog) => this.#at(chart, isLog && value <= 0 ? this.view[name][0] : value, name);
        if (Number.isFinite(yError[place])) {
            path.moveTo(left, end(y[place] - yError[place], "y", isLogY));
            path.lineTo(left, end(y[place] + yError[place], "y", isLogY));
        }
        if (Number.isFinite(xError[place])) {
            path.moveTo(end(x[place] - xError[place], "x", isLogX), top);
            path.lineTo(end(x[place] + xError[place], "x", isLogX), top);
        }
    }

    #ring(ctx, left, top) {
        ctx.strokeStyle = this.colours.text;
        ctx.lineWidth = 2 * devicePixelRatio;
        ctx.beginPath();
        ctx.arc(left, top, 7 * devicePixelRatio, 0, 2 * Math.PI);
        ctx.stroke();
    }

    // -- mouse and keys
    // --------------------------------------------------------------------------------------------------------

    #dragged(chart) {
        const { left, top, width, height } = chart.select;
        if (width < 1 && height < 1) return;
        const ends = (name, begin, size) => {
            const found = [begin, begin + size].map((place) => chart.posToVal(place, name) * this.units[name]);
            return found.sort((one, other) => one - other);
        };
        const [x, y] = [ends("x", left, width), ends("y", top, height)];
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        this.wasDragged = true;
        if (this.isZooming) {
            this.view = { x, y };
            this.#show();
            return;
        }
        const { points } = this;
        const rows = [...points.row].filter((_, place) => {
            const isWithin = points.x[place] >= x[0] && points.x[place] <= x[1];
            return isWithin && (this.bins !== null || (points.y[place] >= y[0] && points.y[place] <= y[1]));
        });
        this.selection.set(rows, this);
        this.#tell();
    }

    #click(event) {
        if (this.wasDragged) {
            this.wasDragged = false;
            return;
        }
        const place = this.#nearest(event.offsetX, event.offsetY);
        if (place < 0) return;
        this.place = place;
        const row = this.points.row[place];
        if (this.bins !== null) {
            const bin = this.bins.places[place];
            this.selection.set(
                [...this.points.row].filter((_, one) => this.bins.places[one] === bin),
                this,
            );
        } else if (event.ctrlKey || event.metaKey || event.shiftKey) this.selection.toggle(row, this);
        else this.selection.set([row], this);
        this.#tell();
    }

    /** Return the point that is nearest to a place; -1 if none is near. */
    #nearest(offsetX, offsetY) {
        const { chart } = this;
        if (this.bins !== null) {
            const value = chart.posToVal(offsetX, "x") * this.units.x;
            return this.bins.places.findIndex(
                (bin) => value >= this.bins.edges[bin] && value <= this.bins.edges[bin + 1],
            );
        }
        const { left, top, ratio } = this.drawn;
        const at = [offsetX * ratio + chart.bbox.left, offsetY * ratio + chart.bbox.top];
        let [best, found] = [NEAR_PX * ratio, -1];
        left.forEach((one, place) => {
            const distance = Math.hypot(one - at[0], top[place] - at[1]);
            if (distance < best) [best, found] = [distance, place];
        });
        return found;
    }

    #key(event) {
        const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
        if (event.key in steps) this.#step(steps[event.key]);
        else if (event.key === "Enter" || event.key === " ") {
            if (this.place >= 0) this.selection.toggle(this.points.row[this.place], this);
        } else if (event.key === "+" || event.key === "=") this.#zoom(STEP_IN);
        else if (event.key === "-") this.#zoom(1 / STEP_IN);
        else if (event.key === "0") this.reset();
        else if (event.key === "Escape") this.selection.set([], this);
        else return;
        event.preventDefault();
        this.#tell();
    }

    /** Go to a further point, in the order of x. */
    #step(by) {
        const last = this.byX.length - 1;
        if (last < 0) return;
        const at = this.place < 0 ? -1 : this.byX.indexOf(this.place);
        this.place = this.byX[Math.min(Math.max(at + by, 0), last)];
        this.chart.redraw(false);
    }

    #zoom(factor) {
        const isX = { x: this.choice.isLogX, y: this.choice.isLogY };
        const centre = this.place < 0 ? null : { x: this.points.x[this.place], y: this.points.y[this.place] };
        for (const name of this.bins === null ? ["x", "y"] : ["x"]) {
            const [to, back] = isX[name] ? [Math.log, Math.exp] : [Number, Number];
            const [low, high] = this.view[name].map(to);
            const middle = centre === null ? (low + high) / 2 : to(centre[name]);
            this.view[name] = [back(middle + (low - middle) * factor), back(middle + (high - middle) * factor)];
        }
        this.#show();
    }

    #tell() {
        const { points, place, choice } = this;
        const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
        const parts = [count(points.x.length, "point")];
        if (points.left > 0)
            parts.push(
                `${count(points.left, "row")} without a place (NULL, infinite${choice.isLogX || choice.isLogY || choice.isMagnitude ? ", or no logarithm" : ""})`,
            );
        if (this.selection.size > 0) parts.push(`${this.selection.size.toLocaleString("en")} selected`);
        if (place >= 0) {
            const row = points.row[place];
            const said = (column) => `${this.table.fields[column].name} ${this.table.text(row, column)}`;
            const y =
                this.bins === null
                    ? `, ${said(choice.y)}`
                    : `, ${this.bins.counts[this.bins.places[place]]} in its bin`;
            parts.push(`row ${(row + 1).toLocaleString("en")}: ${said(choice.x)}${y}`);
        }
        this.status.textContent = parts.join(" · ");
    }
}
