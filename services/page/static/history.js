/**
 * Queries of this person in this browser: kept by user, and forgotten when another user logs in.
 * @module
 */

import { make, page } from "./dom.js";

const PREFIX = "tapdb.history:";
const KEY = `${PREFIX}${page.root}:${page.user}`;
const MOST = 200;

/**
 * @typedef {object} Entry
 * @property {string} query
 * @property {number} at - milliseconds since 1970
 * @property {string} told - how it ended
 */

/** Remove what other users of this browser have left. */
export function forgetOthers() {
    for (const key of Object.keys(localStorage)) {
        if (key.startsWith(`${PREFIX}${page.root}:`) && key !== KEY) localStorage.removeItem(key);
    }
}

/** @returns {Entry[]} the newest first */
export function entries() {
    try {
        const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
        return Array.isArray(found) ? found : [];
    } catch {
        return [];
    }
}

/**
 * Note a query; one that was the same is there once.
 * @param {string} query
 * @param {string} told
 */
export function note(query, told) {
    const others = entries().filter((one) => one.query !== query);
    save([{ query, at: Date.now(), told }, ...others].slice(0, MOST));
}

/**
 * Show the history in an element.
 * @param {HTMLElement} list
 * @param {(query: string) => void} take - called with a query that is chosen
 */
export function showHistory(list, take) {
    const known = entries();
    list.parentElement.hidden = !known.length;
    const items = known.map((one) =>
        make(
            "li",
            {},
            make("time", { class: "more", datetime: new Date(one.at).toISOString(), text: new Date(one.at).toLocaleString() }),
            make("button", { type: "button", class: "plain query", title: one.query, text: one.query.replace(/\s+/g, " "), on: { click: () => take(one.query) } }),
            make("span", { class: "more", text: one.told }),
            make("button", {
                type: "button",
                class: "plain",
                "aria-label": `Forget ${one.query.replace(/\s+/g, " ").slice(0, 60)}`,
                text: "forget",
                on: {
                    click: () => {
                        save(entries().filter((other) => other.query !== one.query));
                        showHistory(list, take);
                    },
                },
            }),
        ),
    );
    const clear = make("button", {
        type: "button",
        class: "plain",
        text: "Forget all",
        on: {
            click: () => {
                save([]);
                showHistory(list, take);
            },
        },
    });
    list.replaceChildren(make("p", { class: "more" }, "Kept in this browser alone. ", clear), make("ul", { class: "past" }, ...items));
}

function save(known) {
    try {
        localStorage.setItem(KEY, JSON.stringify(known));
    } catch {
        // A browser that keeps nothing has no history.
    }
}
