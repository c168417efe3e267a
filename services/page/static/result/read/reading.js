/** From an answer of the service to a table that fills: its bytes go to a worker, its rows come back. */

import { Table } from "./table.js";

const WORKER = new URL("./worker.js", import.meta.url);
const MOST_AHEAD = 8 * 2 ** 20;

/** A worker that waits for the next result: to start one takes as long as to read a thousand rows. */
let waiting = newWorker();

function newWorker() {
    return new Worker(WORKER, { type: "module" });
}

/**
 * Return a table that fills with the rows of an answer.
 * @param {Response} response The answer, a VOTable, still arriving.
 * @param {AbortSignal} [signal] Ends the reading.
 */
export function readResponse(response, signal) {
    const table = new Table();
    const type = response.headers.get("content-type") ?? "";
    if (response.body === null || !/votable|xml/i.test(type)) {
        void refuse(table, response, type);
        return table;
    }
    const worker = waiting;
    waiting = newWorker();
    const flow = new Flow();
    const stop = (error) => {
        worker.terminate();
        flow.free(Infinity);
        if (!table.isComplete) table.end({ error });
    };
    worker.addEventListener("message", ({ data }) => {
        if (data.kind === "head") table.begin(data.head);
        else if (data.kind === "batch") table.add(data.batch);
        else if (data.kind === "read") flow.free(data.bytes);
        else {
            table.end(data.tail);
            worker.terminate();
            flow.free(Infinity);
        }
    });
    worker.addEventListener("error", () => stop("the reader of results has failed: load the page again"));
    signal?.addEventListener("abort", () => stop("the reading was stopped"));
    pump(response.body.getReader(), worker, flow, table).catch((error) => {
        stop(`the connection was lost: ${error.message}`);
    });
    return table;
}

async function pump(reader, worker, flow, table) {
    for (;;) {
        const { value, done } = await reader.read();
        if (done || table.isComplete) break;
        const size = value.length;
        worker.postMessage({ piece: value }, [value.buffer]);
        await flow.wait(size);
    }
    if (table.isComplete) await reader.cancel();
    else worker.postMessage({ isEnd: true });
}

async function refuse(table, response, type) {
    const text = (await response.text()).trim().slice(0, 2000);
    const found = text === "" ? `status ${response.status}` : text;
    const kind = type === "" ? "no content type" : type;
    table.end({ error: response.ok ? `the answer is ${kind}, and no VOTable` : found });
}

/** Keeps the bytes that the worker has not read yet within a limit. */
class Flow {
    constructor() {
        this.ahead = 0;
        this.isFree = () => {};
    }

    async wait(bytes) {
        this.ahead += bytes;
        if (this.ahead > MOST_AHEAD) {
            await new Promise((resolve) => {
                this.isFree = resolve;
            });
        }
    }

    free(bytes) {
        this.ahead = Math.max(0, this.ahead - bytes);
        if (this.ahead <= MOST_AHEAD) this.isFree();
    }
}
