/**
 * The address that repeats a query: in the query string, or behind # where it would be too long for a request.
 * @module
 */

import { page } from "./dom.js";

const LONGEST = 6000;

/**
 * Return the address of a query.
 * @param {{query: string, maxrec?: string, job?: string, run?: boolean}} state
 * @returns {string}
 */
export function addressOf({ query, maxrec, job, run }) {
    const parts = new URLSearchParams();
    if (query) parts.set("QUERY", query);
    if (maxrec) parts.set("MAXREC", maxrec);
    if (job) parts.set("JOB", job);
    else if (run) parts.set("RUN", "1");
    const text = parts.toString();
    return `${location.origin}${page.root}/query${text ? (text.length > LONGEST ? "#" : "?") + text : ""}`;
}

/**
 * Return what the present address says.
 * @returns {{query: string, maxrec: string, job: string, run: boolean}}
 */
export function readAddress() {
    const behind = location.hash.slice(1);
    const parts = new URLSearchParams(behind.includes("QUERY=") ? behind : location.search);
    const of = (name) => parts.get(name) ?? "";
    return { query: of("QUERY"), maxrec: of("MAXREC"), job: of("JOB"), run: of("RUN") === "1" };
}
