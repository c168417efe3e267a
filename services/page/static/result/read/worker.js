/** A worker that reads a VOTable, so that the page answers while rows arrive. */

import { VotableReader } from "./votable.js";

const reader = new VotableReader({
    head: (head) => self.postMessage({ kind: "head", head }),
    batch: (batch) => {
        const buffers = batch.columns.flatMap(({ nulls, values, ends }) => [nulls, values, ends]);
        const handed = buffers.filter(ArrayBuffer.isView).map((one) => one.buffer);
        self.postMessage({ kind: "batch", batch }, [...new Set(handed)]);
    },
});

self.addEventListener("message", ({ data }) => {
    try {
        if (data.piece !== undefined) {
            reader.feed(data.piece);
            self.postMessage({ kind: "read", bytes: data.piece.length });
        } else self.postMessage({ kind: "end", tail: reader.end() });
    } catch (error) {
        self.postMessage({ kind: "end", tail: { infos: reader.infos, error: error.message } });
    }
});
