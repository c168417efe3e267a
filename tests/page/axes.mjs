// Reads columns of the standard input and writes, as JSON, what an axis of each says, and the bins of its histogram.

import { readFileSync } from "node:fs";
import { binsOf, extent, tickTexts, unitOf } from "../../services/page/static/result/plot/points.js";

const found = JSON.parse(readFileSync(0, "utf-8")).map(({ values, ticks, isLog }) => {
    const x = Float64Array.from(values);
    const ends = extent(x, isLog);
    const bins = binsOf({ x }, { bins: 10, isLogX: isLog });
    const shown = ends.map((end) => end / unitOf(ends, isLog));
    return { ends, shown, counts: [...bins.counts], texts: tickTexts(ticks, isLog) };
});
console.log(JSON.stringify(found));
