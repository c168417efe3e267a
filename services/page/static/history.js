/**
 * Queries of this person in this browser: kept by user, and forgotten when another user logs in.
 * @module
 */

import { addressOf } from "./address.js";
import { make, page } from "./dom.js";

const PREFIX = "tapdb.history:";
const KEY = `${PREFIX}${page.root}:${page.user}`;
const MOST = 200;

/**
 * @typedef {object} Entry
 * @property {string} query
 * @property {number} at - milliseconds since 1970
 * @property {string} told - how it ended
 * @property {string} [job] - name of the job that ran it
 */

/** Remove what other users of this browser have left. */
export function forgetOthers() {
    const storage = kept();
    for (const key of Object.keys(storage ?? {})) {
        if (key.startsWith(`${PREFIX}${page.root}:`) && key !== KEY) storage.removeItem(key);
    }
}

/** @returns {Entry[]} the newest first */
export function entries() {
    try {
        const found = JSON.parse(kept()?.getItem(KEY) ?? "[]");
        return Array.isArray(found) ? found : [];
    } catch {
        return [];
    }
}

/**
 * Note a query; one that was the same is there once.
 * @param {string} query
 * @param {string} told
 * @param {string} job - name of the job that runs it; empty if the page waited
 */
export function note(query, told, job) {
    const others = entries().filter((one) => one.query !== query);
    save([{ query, at: Date.now(), told, job }, ...others].slice(0, MOST));
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
            outcome(one),
            make("button", {
                type: "button",
                class: "plain",
                "aria-label": `Forget ${one.query.replace(/\s+/g, " ").slice(0, 60)}`,
                text: "forget",
                on: {
                    click: () => {
                        save(entries().filter((other) => other.query !== one.query));
                        showHistory(list, take);
                        list.parentElement.querySelector("summary").focus();
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

/** Say how a query ended; a job is led to, since its result may still be there. */
function outcome(one) {
    if (!one.job) return make("span", { class: "more", text: one.told });
    return make("a", { class: "more", href: addressOf({ query: one.query, job: one.job }), text: `${one.told} (job)` });
}

/** Return what the browser keeps for this host; null where the person has forbidden it. */
function kept() {
    try {
        return localStorage;
    } catch {
        return null;
    }
}

function save(known) {
    try {
        kept()?.setItem(KEY, JSON.stringify(known));
    } catch {
        // A browser that keeps nothing has no history.
    }
}
