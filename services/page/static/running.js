/**
 * Queries that run: now, while the page waits, or as jobs of the service (UWS 1.1). Both can be cancelled.
 * @module
 */

import { messageOf, page, send } from "./dom.js";
import { WIRE_FORMAT } from "./result/view.js";


const UWS = "http://www.ivoa.net/xml/UWS/v1.0";
const WAIT_S = 10;

/** Reason of a signal that ends a job of the service; for any other reason the page no longer waits, and the job runs on. */
export const CANCELLED = new Error("cancelled");

/**
 * Run a query while the page waits; closing the connection ends it in the database.
 * @param {string} query
 * @param {string} maxrec
 * @param {AbortSignal} signal
 * @returns {Promise<Response>} whose body may still arrive
 */
export async function runNow(query, maxrec, signal) {
    const response = await send(`${page.tap}/sync`, { method: "POST", body: parameters(query, maxrec), signal });
    return refused(response);
}

/**
 * Begin a job, and return its address.
 * @param {string} query
 * @param {string} maxrec
 * @returns {Promise<string>}
 */
export async function beginJob(query, maxrec) {
    const body = parameters(query, maxrec);
    body.set("PHASE", "RUN");
    const response = await refused(await send(`${page.tap}/async`, { method: "POST", body }));
    return jobAddress(new URL(response.url).pathname.split("/").pop());
}

/** @param {string} id @returns {string} */
export function jobAddress(id) {
    return `${page.tap}/async/${encodeURIComponent(id)}`;
}

/**
 * Wait until a job has ended, and return its result.
 * @param {string} address
 * @param {(phase: string) => void} tell - called with each phase
 * @param {AbortSignal} signal - ends the waiting; the job too, if the reason is `CANCELLED`
 * @returns {Promise<Response>}
 */
export async function resultOfJob(address, tell, signal) {
    const abort = () => {
        if (signal.reason !== CANCELLED) return;
        fetch(`${address}/phase`, { method: "POST", body: new URLSearchParams({ PHASE: "ABORT" }), keepalive: true });
    };
    // Cancel may come while the job is being made.
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
        let phase = "";
        for (;;) {
            const wait = phase ? `?WAIT=${WAIT_S}&PHASE=${phase}` : "";
            const response = await refused(await send(`${address}${wait}`, { signal }));
            phase = new DOMParser().parseFromString(await response.text(), "text/xml").getElementsByTagNameNS(UWS, "phase")[0].textContent;
            tell(phase);
            if (["COMPLETED", "ERROR", "ABORTED"].includes(phase)) break;
        }
        if (phase === "ABORTED") throw new Error("the job was cancelled");
        if (phase === "ERROR") throw new Error(messageOf(await (await send(`${address}/error`, { signal })).text()));
        return await refused(await send(`${address}/results/result`, { signal }));
    } finally {
        signal.removeEventListener("abort", abort);
    }
}

/**
 * Return a response that says how many bytes of it have come.
 * @param {Response} response
 * @param {(bytes: number) => void} tell
 * @returns {Response}
 */
export function counted(response, tell) {
    let bytes = 0;
    const counting = new TransformStream({
        transform(block, controller) {
            bytes += block.byteLength;
            tell(bytes);
            controller.enqueue(block);
        },
    });
    return new Response(response.body.pipeThrough(counting), { headers: response.headers, status: response.status });
}

function parameters(query, maxrec) {
    const body = new URLSearchParams({ LANG: "ADQL", QUERY: query, RESPONSEFORMAT: WIRE_FORMAT });
    if (maxrec) body.set("MAXREC", maxrec);
    return body;
}

async function refused(response) {
    if (!response.ok) throw new Error(messageOf(await response.text()));
    return response;
}
