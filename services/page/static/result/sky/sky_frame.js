/**
 * What runs in the frame of the sky: Aladin Lite, offline, in a document of its own.
 *
 * It gets shapes and which of them are selected, and says where somebody clicks and which cone is drawn.
 * No survey of images is loaded: the sky is a grid of coordinates.
 */

import { contains, separation } from "./sphere.js";

const ALADIN = new URL("../../../vendor/aladin/aladin.js", import.meta.url);
const NEAR_PX = 9;
const LEAST_DRAG_PX = 4;
const OPTIONS = {
    survey: [],
    fov: 60,
    cooFrame: "ICRSd",
    log: false,
    samp: false,
    showCooGrid: true,
    showCooGridControl: false,
    showLayersControl: false,
    showFrame: false,
    showGotoControl: false,
    showProjectionControl: false,
    showSettingsControl: false,
    showShareControl: false,
    showSimbadPointerControl: false,
    showZoomControl: false,
    showFullscreenControl: false,
    showStatusBar: false,
    showContextMenu: false,
    showReticle: false,
    showCooLocation: false,
    showFov: false,
    expandLayersControl: false,
};

const tell = (message) => window.parent.postMessage(message, window.location.origin);

class Sky {
    constructor(A, aladin) {
        this.A = A;
        this.aladin = aladin;
        this.shapes = [];
        this.layer = document.querySelector("#cone");
        const style = getComputedStyle(document.documentElement);
        const colour = (name) => style.getPropertyValue(name).trim();
        this.all = this.#layers("rows", colour("--sky-row"), 1.2);
        this.chosen = this.#layers("selected", colour("--sky-selected"), 2.4);
        this.cone = A.graphicOverlay({ name: "cone", color: colour("--sky-cone"), lineWidth: 2 });
        aladin.addOverlay(this.cone);
        aladin.setCooGrid({ color: colour("--sky-grid"), opacity: 0.7, labelSize: 12, thickness: 1 });
        aladin.on("click", (event) => this.#click(event));
        window.addEventListener("message", (event) => {
            if (event.source === window.parent && event.origin === window.location.origin) this.#told(event.data);
        });
        this.#listen();
    }

    #layers(name, color, lineWidth) {
        const overlay = this.A.graphicOverlay({ name, color, lineWidth });
        const catalog = this.A.catalog({ name, color, sourceSize: lineWidth > 2 ? 12 : 8, shape: "circle" });
        this.aladin.addOverlay(overlay);
        this.aladin.addCatalog(catalog);
        return { overlay, catalog };
    }

    #told(message) {
        if (message.kind === "shapes") {
            this.shapes = message.shapes;
            this.#draw(this.all, this.shapes);
        } else if (message.kind === "selected") {
            const rows = new Set(message.rows);
            this.#draw(
                this.chosen,
                this.shapes.filter((shape) => rows.has(shape.row)),
            );
        } else if (message.kind === "view") this.#look(message);
        else if (message.kind === "zoom") {
            this.aladin.setFoV(Math.min(180, this.aladin.getFov()[0] * message.factor));
            this.#tellView();
        } else if (message.kind === "mode") {
            this.layer.hidden = !message.isCone;
        } else if (message.kind === "cone") this.#showCone(message);
    }

    #draw({ overlay, catalog }, shapes) {
        const { A } = this;
        overlay.removeAll();
        catalog.removeAll();
        const polygons = shapes.filter((shape) => shape.polygon !== undefined);
        if (polygons.length > 0) overlay.addFootprints(polygons.map(({ polygon }) => A.polygon(polygon)));
        for (const { circle } of shapes)
            if (circle !== undefined) overlay.add(A.circle(circle.ra, circle.dec, circle.radius));
        const points = shapes.filter((shape) => shape.point !== undefined);
        if (points.length > 0) catalog.addSources(points.map(({ point }) => A.source(point.ra, point.dec)));
    }

    #look({ ra, dec, fov, isWidth }) {
        this.aladin.gotoRaDec(ra, dec);
        // The field of view is that of the width, and what is looked at has to fit the height too.
        this.aladin.setFoV(Math.min(180, fov * (isWidth ? 1 : Math.max(1, window.innerWidth / window.innerHeight))));
        this.#tellView();
    }

    #tellView() {
        const [ra, dec] = this.aladin.getRaDec();
        tell({ kind: "view", ra, dec, fov: this.aladin.getFov()[0] });
    }

    /** Say which rows are where somebody has clicked. */
    #click(event) {
        if (event?.ra === undefined || event.isDragging) return;
        const near = (NEAR_PX * this.aladin.getFov()[0]) / window.innerWidth;
        const rows = this.shapes.filter((shape) => contains(shape, event, near)).map((shape) => shape.row);
        tell({ kind: "picked", rows: [...new Set(rows)], ra: event.ra, dec: event.dec });
        this.#tellView();
    }

    /** Let a drag over the sky be a cone, and a click one of a twentieth of what is seen. */
    #listen() {
        let begin = null;
        const at = (event) => {
            const found = this.aladin.pix2world(event.offsetX, event.offsetY);
            return found === undefined || found === null || !Number.isFinite(found[0])
                ? null
                : { ra: found[0], dec: found[1] };
        };
        const coneOf = (event) => {
            const edge = at(event);
            const isClick = Math.hypot(event.offsetX - begin.x, event.offsetY - begin.y) < LEAST_DRAG_PX;
            const radius = isClick || edge === null ? this.aladin.getFov()[0] / 20 : separation(begin.centre, edge);
            return { ...begin.centre, radius };
        };
        this.layer.addEventListener("pointerdown", (event) => {
            const centre = at(event);
            begin = centre === null ? null : { x: event.offsetX, y: event.offsetY, centre };
            this.layer.setPointerCapture(event.pointerId);
        });
        this.layer.addEventListener("pointermove", (event) => {
            if (begin !== null) this.#showCone(coneOf(event));
        });
        this.layer.addEventListener("pointerup", (event) => {
            if (begin === null) return;
            const cone = coneOf(event);
            begin = null;
            this.#showCone(cone);
            tell({ kind: "cone", ...cone });
        });
    }

    #showCone({ ra, dec, radius }) {
        this.cone.removeAll();
        if (radius > 0) this.cone.add(this.A.circle(ra, dec, radius));
    }
}

async function begin() {
    try {
        if (document.createElement("canvas").getContext("webgl2") === null) {
            tell({ kind: "failed", reason: "this browser has no WebGL" });
            return;
        }
        const { default: A } = await import(ALADIN.href);
        await A.init;
        const aladin = A.aladin("#sky", {
            ...OPTIONS,
            backgroundColor: getComputedStyle(document.documentElement).getPropertyValue("--sky-back").trim(),
        });
        void new Sky(A, aladin);
        tell({ kind: "ready" });
    } catch (error) {
        tell({
            kind: "failed",
            reason:
                error instanceof TypeError
                    ? "Aladin Lite is not installed here: its operator runs make setup"
                    : error.message,
        });
    }
}

await begin();
