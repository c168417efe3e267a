/** What a plot draws, of the columns of a result: points with errors and groups, bins, magnitudes. */

import { isNumber, isText } from "../read/columns.js";

/** @typedef {import('../read/table.js').Table} Table */

/**
 * @typedef {object} PlotChoice
 * @property {'scatter' | 'lightcurve' | 'histogram'} kind What is drawn.
 * @property {number} x Column of the x axis.
 * @property {number} y Column of the y axis.
 * @property {number} xError Column of errors of x; -1 for none.
 * @property {number} yError Column of errors of y; -1 for none.
 * @property {number} group Column by whose values points are coloured; -1 for none.
 * @property {boolean} isLogX Whether x is logarithmic.
 * @property {boolean} isLogY Whether y is logarithmic.
 * @property {boolean} isInverted Whether y grows downwards, as magnitudes do.
 * @property {boolean} isMagnitude Whether fluxes in nJy are shown as AB magnitudes.
 * @property {number} bins How many bins a histogram has.
 */

/**
 * @typedef {object} Points
 * @property {Float64Array} x Places on the x axis.
 * @property {Float64Array} y Places on the y axis.
 * @property {Float64Array} xError Errors; NaN for none.
 * @property {Float64Array} yError Errors; NaN for none.
 * @property {Uint8Array} group Number of the group.
 * @property {Uint32Array} row Number of the row.
 * @property {string[]} groups Names of groups.
 * @property {number} left How many rows have no place: NULL, or no logarithm.
 */

/** How many colours there are; what comes later shares the last one. */
export const MOST_GROUPS = 8;
const NANOJANSKY = 31.4;
const POGSON = 2.5 / Math.LN10;

/**
 * Return the columns that have numbers, and those by which points can be coloured.
 * @param {Table} table The result.
 */
export function columnsOf(table) {
    const every = table.fields.map((_, column) => column);
    return {
        numbers: every.filter((column) => isNumber(table.fields[column])),
        groups: every.filter((column) => {
            const { datatype } = table.fields[column];
            return isText(table.fields[column]) || ["boolean", "short", "int", "unsignedByte"].includes(datatype);
        }),
    };
}

/**
 * Return what is drawn if nobody has chosen: a light curve of time and flux if there are, else two columns.
 * @param {Table} table The result.
 * @returns {PlotChoice | null} Null if there are no numbers.
 */
export function usualChoice(table) {
    const { numbers } = columnsOf(table);
    if (numbers.length === 0) return null;
    const isFilled = (column) => {
        for (let row = 0; row < Math.min(table.length, 200); row += 1) {
            if (Number.isFinite(table.number(row, column))) return true;
        }
        return false;
    };
    const filled = numbers.filter(isFilled);
    const find = (...tests) => {
        for (const test of tests) {
            const found = filled.find((column) => test(table.fields[column]));
            if (found !== undefined) return found;
        }
        return -1;
    };
    const named = (pattern) => (field) => pattern.test(field.name);
    const time = find(
        named(/^midpointMjd/),
        named(/^t_min$/i),
        (field) => /^time\.(epoch|start)/.test(field.ucd),
        named(/mjd/i),
    );
    const flux = find(
        named(/^psfFlux$/),
        named(/^(mag|psfMag)/i),
        (field) => /^phot\.(flux|mag)/.test(field.ucd),
        named(/flux$/i),
    );
    const choice = {
        kind: "scatter",
        x: filled[0] ?? numbers[0],
        y: filled[1] ?? numbers[0],
        xError: -1,
        yError: -1,
        group: -1,
        isLogX: false,
        isLogY: false,
        isInverted: false,
        isMagnitude: false,
        bins: 40,
    };
    if (time >= 0 && flux >= 0) {
        const { name } = table.fields[flux];
        choice.kind = "lightcurve";
        choice.x = time;
        choice.y = flux;
        choice.yError = find((field) => field.name === `${name}Err` || field.name === `${name}_err`);
        choice.group = table.fields.findIndex((field) => /^(lsst_)?(band|filter)$/.test(field.name));
        choice.isInverted = isMagnitude(table.fields[flux]);
        return choice;
    }
    const ra = find(named(/^(s_)?ra$/i), (field) => /^pos\.eq\.ra/.test(field.ucd));
    const dec = find(named(/^(s_)?dec(l)?$/i), (field) => /^pos\.eq\.dec/.test(field.ucd));
    if (ra >= 0 && dec >= 0) [choice.x, choice.y] = [ra, dec];
    else if (numbers.length < 2) choice.kind = "histogram";
    return choice;
}

/**
 * Return whether a column has magnitudes, which grow downwards.
 * @param {import('../read/columns.js').Field} field The column.
 */
export function isMagnitude(field) {
    return field.unit === "mag" || /^phot\.mag/.test(field.ucd);
}

/**
 * Return what an axis says.
 * @param {import('../read/columns.js').Field} field The column.
 * @param {boolean} asMagnitude Whether its fluxes are shown as magnitudes.
 */
export function axisLabel(field, asMagnitude = false) {
    if (asMagnitude) return `${field.name} [AB mag]`;
    return field.unit === "" ? field.name : `${field.name} [${field.unit}]`;
}

/**
 * Return what stands at the numbers of an axis: as many digits as tell one from the next, and no more.
 * @param {(number | null)[]} values The numbers; null for one that has no text.
 * @param {boolean} isLog Whether the axis is logarithmic.
 * @returns {string[]}
 */
export function tickTexts(values, isLog) {
    const known = values.filter((one) => one !== null);
    const largest = Math.max(0, ...known.map(Math.abs));
    const steps = known.slice(1).map((one, place) => Math.abs(one - known[place]));
    const step = Math.min(...steps.filter((one) => one > 0), largest || 1);
    // A step may be 2.5 of something.
    const decimals = 1 - Math.floor(Math.log10(step));
    const digits = isLog ? 3 : Math.floor(Math.log10(largest || 1)) + decimals + 1;
    return values.map((value) => {
        if (value === null) return "";
        const one = !isLog && Math.abs(value) < step * 1e-6 ? 0 : value;
        const size = isLog ? Math.abs(one) : largest;
        const isPlain = one === 0 || (size >= 1e-3 && size < 1e7) || digits > 8;
        const most = Math.min(20, Math.max(0, isLog ? 6 : decimals));
        return isPlain
            ? one.toLocaleString("en", { maximumFractionDigits: most })
            : Number(one.toPrecision(digits)).toExponential().replace("e+", "e");
    });
}

/**
 * Return the points of a result.
 * @param {Table} table The result.
 * @param {PlotChoice} choice What is drawn.
 * @returns {Points}
 */
export function pointsOf(table, choice) {
    const names = new Map();
    const most = table.length;
    const found = {
        x: new Float64Array(most),
        y: new Float64Array(most),
        xError: new Float64Array(most),
        yError: new Float64Array(most),
        group: new Uint8Array(most),
        row: new Uint32Array(most),
        groups: [],
        left: 0,
    };
    let count = 0;
    for (let row = 0; row < most; row += 1) {
        const x = table.number(row, choice.x);
        let y = choice.kind === "histogram" ? 0 : table.number(row, choice.y);
        let yError = choice.yError < 0 ? NaN : table.number(row, choice.yError);
        if (choice.isMagnitude) {
            yError = Math.abs((POGSON * yError) / y);
            y = y > 0 ? NANOJANSKY - POGSON * Math.log(y) : NaN;
        }
        if (!hasPlace(x, choice.isLogX) || (choice.kind !== "histogram" && !hasPlace(y, choice.isLogY))) {
            found.left += 1;
            continue;
        }
        found.x[count] = x;
        found.y[count] = y;
        found.xError[count] = choice.xError < 0 ? NaN : table.number(row, choice.xError);
        found.yError[count] = yError;
        found.group[count] = choice.group < 0 ? 0 : numberOf(names, table.text(row, choice.group));
        found.row[count] = row;
        count += 1;
    }
    for (const name of ["x", "y", "xError", "yError", "group", "row"]) found[name] = found[name].subarray(0, count);
    found.groups = [...names.keys()].map((name) => (name === "" ? "none" : name));
    if (found.groups.length > MOST_GROUPS) found.groups = [...found.groups.slice(0, MOST_GROUPS - 1), "others"];
    return found;
}

function hasPlace(value, isLog) {
    return Number.isFinite(value) && (!isLog || value > 0);
}

/** Return the number of the group with a name: the last one is of all that have no colour of their own. */
function numberOf(names, name) {
    if (!names.has(name)) names.set(name, Math.min(names.size, MOST_GROUPS - 1));
    return names.get(name);
}

/**
 * Return the ends of an axis around values, with some room.
 * @param {Float64Array} values The values.
 * @param {boolean} isLog Whether it is logarithmic.
 * @returns {[number, number]}
 */
export function extent(values, isLog) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
    }
    if (low > high) return isLog ? [1, 10] : [0, 1];
    if (isLog) {
        const room = (high / low) ** 0.04 * (high === low ? 2 : 1);
        return readable([low / room, high * room], true);
    }
    const room = high === low ? Math.abs(high) * 0.05 || 1 : high * 0.04 - low * 0.04;
    return readable([Math.max(low - room, -Number.MAX_VALUE), Math.min(high + room, Number.MAX_VALUE)], false);
}

/**
 * Return the ends of an axis so far apart that numbers between them can be told from each other.
 * @param {[number, number]} ends The ends.
 * @param {boolean} isLog Whether it is logarithmic.
 * @param {number} [unit] Unit in which it is drawn.
 * @returns {[number, number]}
 */
export function readable([low, high], isLog, unit = 0) {
    if (isLog) return high / low > 1 + 1e-9 ? [low, high] : [low / (1 + 1e-9), high * (1 + 1e-9)];
    const least = Math.max(Math.abs(low) * 1e-13, Math.abs(high) * 1e-13, unit * 1e-12);
    const middle = low / 2 + high / 2;
    return high - low > least ? [low, high] : [middle - least, middle + least];
}

/**
 * Return the unit in which an axis is drawn, a power of ten: 1 unless its numbers are very small or large.
 * @param {[number, number]} ends Its ends.
 * @param {boolean} isLog Whether it is logarithmic.
 */
export function unitOf([low, high], isLog) {
    const size = isLog ? high : high / 2 - low / 2;
    return size > 1e-6 && size < 1e12 ? 1 : 10 ** Math.floor(Math.log10(size));
}

/**
 * @typedef {object} Bins
 * @property {Float64Array} edges Where bins begin, and the last one ends.
 * @property {Uint32Array} counts How many points are in each.
 * @property {Uint32Array} places Number of the bin of each point.
 */

/**
 * Return how many points are in each of some bins.
 * @param {Points} points The points.
 * @param {PlotChoice} choice What is drawn.
 * @returns {Bins}
 */
export function binsOf(points, choice) {
    const forward = choice.isLogX ? Math.log10 : (value) => value;
    const back = choice.isLogX ? (value) => 10 ** value : (value) => value;
    let [low, high] = [Infinity, -Infinity];
    for (const value of points.x) {
        low = Math.min(low, forward(value));
        high = Math.max(high, forward(value));
    }
    if (low > high) [low, high] = [0, 1];
    if (low === high) {
        // Beside a large number a half is nothing.
        const room = Math.max(0.5, Math.abs(low) * 1e-6);
        [low, high] = [low - room, high + room];
    }
    const step = (high - low) / choice.bins;
    const counts = new Uint32Array(choice.bins);
    const places = Uint32Array.from(points.x, (value) => {
        const bin = Math.min(choice.bins - 1, Math.floor((forward(value) - low) / step));
        counts[bin] += 1;
        return bin;
    });
    return {
        edges: Float64Array.from({ length: choice.bins + 1 }, (_, bin) => back(low + bin * step)),
        counts,
        places,
    };
}
