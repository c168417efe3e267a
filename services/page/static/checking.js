/**
 * What is wrong with a query, and how it will be answered, as the service says while it is typed.
 * @module
 */

import { page, send } from "./dom.js";

/**
 * @typedef {object} Problem
 * @property {string} problem - what was found
 * @property {string} hint - what to write instead
 * @property {number | null} line - from 1
 * @property {number | null} column - from 1, in code points
 * @property {string | null} replacement - what was probably meant
 */

/**
 * Return what is wrong with a query; `null` if nothing is.
 * @param {string} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Problem | null>}
 */
export async function check(query, signal) {
    const found = await ask("check", query, signal);
    return found.ok ? null : found;
}

/**
 * Return how the database will answer a query.
 * @param {string} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ok: boolean, rows: number, verdict: string, summary: string, steps: {text: string, slow: boolean}[]}>}
 */
export function plan(query, signal) {
    return ask("plan", query, signal);
}

/**
 * Return which part of a query is at fault.
 * @param {string} query
 * @param {Problem} problem
 * @returns {{from: number, to: number}}
 */
export function rangeOf(query, problem) {
    if (problem.line === null || problem.column === null) return { from: 0, to: query.length };
    const lines = query.split(/\r\n|\r|\n/);
    const line = lines[problem.line - 1] ?? "";
    const start = lines.slice(0, problem.line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    // The service counts characters, and a string here UTF-16 units.
    const before = [...line].slice(0, problem.column - 1).join("").length;
    const word = line.slice(before).match(/^(?:[\w"]+(?:\.[\w"]+)*|'[^']*'|\S)/);
    const from = Math.min(start + before, query.length);
    return { from, to: Math.max(from, from + (word ? word[0].length : 0)) };
}

async function ask(what, query, signal) {
    const body = new URLSearchParams({ QUERY: query });
    const response = await send(`${page.root}/page/${what}`, { method: "POST", body, signal });
    if (response.status === 401) throw new Error("you are no longer logged in: load the page again");
    if (!response.ok) throw new Error(`the service answers ${response.status}`);
    return response.json();
}
