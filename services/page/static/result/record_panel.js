/**
 * The panel of a result over versioned tables: how far it can be repeated and why, its record, citations,
 * the same rows again, and what has changed since.
 */

import { make } from "../dom.js";
import { copyButton } from "./copying.js";

const GUARANTEES = {
    exact: "The same rows come again at any later time, each value to the last bit.",
    none: "This result has no record: it cannot be repeated.",
};
const MOST_SHOWN = 500;

/**
 * Return what a result says of its record; null if its tables have no versions.
 * @param {import('./read/table.js').Table} table The result, complete.
 */
export function recordOf(table) {
    const guarantee = table.info("ppdb_guarantee");
    if (guarantee === "") return null;
    const reasons = table.infos.filter((info) => info.name === "ppdb_guarantee_reason").map((info) => info.value);
    return {
        guarantee,
        reasons,
        snapshot: table.info("ppdb_snapshot"),
        mjd: table.info("ppdb_snapshot_time_mjd_tai"),
        digest: table.info("ppdb_digest"),
        landing: table.info("reference_url"),
        repeatable: table.info("ppdb_query_repeatable"),
    };
}

/**
 * Return the panel.
 * @param {NonNullable<ReturnType<typeof recordOf>>} facts What the result says of its record.
 * @param {{landing: string, site: string}} where Address of the record, and of the service.
 * @returns {HTMLElement}
 */
export function recordPanel(facts, where) {
    const landing = sameHost(where.landing || facts.landing);
    const panel = make("div", { class: "record" }, guarantee(facts), state(facts, landing, where.site));
    if (landing !== "") panel.append(cite(landing), changes(landing));
    else
        panel.append(
            make("p", {
                class: "panel-note",
                text: "The record has no address: the query is too long for one, or has uploads. Keep the VOTable, which holds it.",
            }),
        );
    return panel;
}

/** Return an address of the service as this page reaches it: behind a proxy its host may have another name. */
function sameHost(address) {
    if (address === "") return "";
    const at = address.indexOf("/replay/");
    return at < 0 ? "" : new URL(`../../../../../replay/${address.slice(at + 8)}`, import.meta.url).href;
}

function guarantee({ guarantee: level, reasons }) {
    const why = reasons.length === 0 ? [] : [make("ul", {}, ...reasons.map((text) => make("li", { text })))];
    const said = GUARANTEES[level] ?? "";
    const head = make(
        "p",
        {},
        make("span", { class: `level is-${level}`, text: level.replaceAll("_", " ") }),
        said === "" ? "" : ` ${said}`,
    );
    return make("section", {}, make("h3", { text: "Guarantee" }), head, ...why);
}

function state(facts, landing, site) {
    const rows = [
        ["Snapshot", facts.snapshot],
        ["State of the data", facts.mjd === "" ? "" : `MJD ${facts.mjd} (TAI)`],
        ["Digest", facts.digest],
    ].filter(([, value]) => value !== "");
    const list = make(
        "dl",
        { class: "facts" },
        ...rows.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]),
    );
    const links = make("p", { class: "links" });
    if (landing !== "") {
        const id = landing.slice(landing.indexOf("/replay/") + 8);
        links.append(
            make("a", { class: "button", href: `${site}/results?ID=${encodeURIComponent(id)}`, text: "Replay" }),
            make("a", { class: "button", href: landing, text: "Record" }),
        );
    }
    const section = make("section", {}, make("h3", { text: "Record" }), list, links);
    if (facts.repeatable !== "") {
        const code = make(
            "pre",
            { tabindex: "0", role: "region", "aria-label": "Repeatable query" },
            make("code", { text: facts.repeatable }),
        );
        section.append(make("details", {}, make("summary", { text: "Repeatable query" }), code));
    }
    return section;
}

// -- citations
// ------------------------------------------------------------------------------------------------------------

function cite(landing) {
    const section = make("section", {}, make("h3", { text: "Cite" }));
    if (landing.includes("/replay/~")) {
        const text =
            "The record of this result is not stored, so it has no identifier that can be cited. Its address holds the query itself; tapdb replay cite stores a record.";
        section.append(make("p", { class: "panel-note", text }));
        return section;
    }
    for (const [name, form] of [
        ["Citation", "text"],
        ["BibTeX", "bibtex"],
    ]) {
        const code = make("code", { text: "…" });
        section.append(
            make(
                "div",
                { class: "snippet-head" },
                make("h4", { text: name }),
                copyButton(`Copy ${name}`, () => code.textContent),
            ),
            make("pre", { tabindex: "0", role: "region", "aria-label": name, "data-form": form }, code),
        );
        void fetched(`${landing}?RESPONSEFORMAT=${form}`).then((text) => {
            code.textContent = text.trim();
        });
    }
    return section;
}

async function fetched(address) {
    try {
        const response = await fetch(address);
        return await response.text();
    } catch (error) {
        return `This cannot be read: ${error.message}`;
    }
}

// -- what has changed
// ------------------------------------------------------------------------------------------------------------

function changes(landing) {
    const out = make("div", { class: "changes", "aria-live": "polite" });
    const button = make("button", { type: "button", class: "button", text: "Compare with now" });
    button.addEventListener("click", async () => {
        // A button that is disabled loses the focus of those who use keys.
        if (button.ariaBusy === "true") return;
        button.ariaBusy = "true";
        out.replaceChildren(make("p", { class: "more", text: "The query runs as of its snapshot and as of now …" }));
        out.replaceChildren(...(await compared(landing)));
        button.ariaBusy = "false";
    });
    return make("section", {}, make("h3", { text: "What has changed since" }), button, out);
}

async function compared(landing) {
    try {
        const response = await fetch(`${landing}/changes`, { headers: { Accept: "application/json" } });
        const found = await response.json();
        if (!response.ok) return [make("p", { class: "panel-note", text: found.error })];
        return differences(found);
    } catch (error) {
        return [make("p", { class: "panel-note", text: `The comparison failed: ${error.message}` })];
    }
}

/** Return the differences as a table: rows added, gone, and changed, each value that differs marked. */
function differences({ columns, added, removed, changed }) {
    const counts = [
        ["added", added],
        ["gone", removed],
        ["changed", changed],
    ];
    const summary = make(
        "p",
        { class: "change-counts" },
        ...counts.map(([name, rows]) => {
            return make("span", { class: `change is-${name}`, text: `${rows.length.toLocaleString("en")} ${name}` });
        }),
    );
    if (counts.every(([, rows]) => rows.length === 0)) {
        return [summary, make("p", { text: "The query returns the same rows now." })];
    }
    const lines = [
        ...added.map((row) => line("added", "+", row)),
        ...removed.map((row) => line("gone", "−", row)),
        ...changed.flatMap(([before, after]) => {
            const differs = before.map((value, place) => value !== after[place]);
            return [line("changed", "was", before, differs), line("changed", "is", after, differs)];
        }),
    ];
    const head = make(
        "tr",
        {},
        ...["", ...columns].map((text) => (text === "" ? make("td") : make("th", { scope: "col", text }))),
    );
    const table = make(
        "table",
        { class: "change-table" },
        make("thead", {}, head),
        make("tbody", {}, ...lines.slice(0, MOST_SHOWN)),
    );
    const note =
        lines.length > MOST_SHOWN
            ? [
                  make("p", {
                      class: "more",
                      text: `The first ${MOST_SHOWN} lines of ${lines.length.toLocaleString("en")}.`,
                  }),
              ]
            : [];
    return [
        summary,
        make("div", { class: "wide scrolled", tabindex: "0", role: "region", "aria-label": "Rows that differ" }, table),
        ...note,
    ];
}

function line(kind, sign, row, differs = []) {
    const cells = row.map((value, place) => {
        return make("td", { class: differs[place] ? "differs" : "", text: value ?? "NULL" });
    });
    return make("tr", { class: `is-${kind}` }, make("th", { scope: "row", text: sign }), ...cells);
}
