/**
 * Rows on pages about one thing: each place that names a query is filled with its result once it is seen.
 * @module
 */

import { make, page, send } from "../dom.js";
import { queryWithCone } from "./sky/cone.js";
import { showResult, WIRE_FORMAT } from "./view.js";

const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        void fill(target);
    }
});
for (const place of document.querySelectorAll(".live-result[data-query]")) {
    seen.observe(place);
    place.addEventListener("tapdb:cone", ({ detail }) => void goWith(place.dataset.query, detail));
}

/**
 * Show the result of the query that a place names.
 * @param {HTMLElement} place
 */
async function fill(place) {
    const { query, rows, landing, snapshot, panels, region } = place.dataset;
    try {
        const response = rows === undefined ? await sent(query) : await send(rows);
        const address = new URL(`${page.root}/query`, location.href);
        address.search = String(new URLSearchParams({ QUERY: query, RUN: "1" }));
        await showResult(place, response, {
            query,
            address: rows === undefined ? address.href : location.href,
            snapshot: snapshot ?? response.headers.get("PPDB-Snapshot") ?? "",
            tapUrl: new URL(page.tap, location.href).href,
            landing: landing ?? "",
            panels: (panels ?? "").split(",").filter(Boolean),
            region: region ?? "",
        });
        place.dataset.state = "shown";
    } catch (error) {
        place.replaceChildren(make("pre", { class: "problem", role: "alert", text: error.message }));
    }
}

function sent(query) {
    const body = new URLSearchParams({ LANG: "ADQL", QUERY: query, RESPONSEFORMAT: WIRE_FORMAT });
    return send(`${page.tap}/sync`, { method: "POST", body });
}

/** Go to the query box with a cone that was drawn here. */
async function goWith(query, cone) {
    const response = await fetch(`${page.root}/page/vocabulary`);
    const { tables } = response.ok ? await response.json() : { tables: [] };
    const found = queryWithCone(query, cone, tables);
    if (found !== null) location.assign(`${page.root}/query?${new URLSearchParams({ QUERY: found })}`);
}
