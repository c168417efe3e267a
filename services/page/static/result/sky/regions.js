/** Where rows lie on the sky: positions, and footprints in STC-S or as DALI 1.1 has them (section 3.3). */

import { isNumber, isText } from "../read/columns.js";

/** @typedef {import('../read/table.js').Table} Table */

/**
 * @typedef {object} Shape
 * @property {number} row Number of the row.
 * @property {[number, number][]} [polygon] Corners, in degrees.
 * @property {{ra: number, dec: number, radius: number}} [circle] Circle, in degrees.
 * @property {{ra: number, dec: number}} [point] Position, in degrees.
 */

const WORDS = /^(?:ICRS|J2000|FK5|UNKNOWNFRAME|TOPOCENTER|BARYCENTER|GEOCENTER|UNKNOWNREFPOS|SPHERICAL2|CARTESIAN2)$/i;

/**
 * Return the shapes of a footprint as text, such as `POLYGON ICRS 1 2 3 4 5 6`; several in a UNION.
 * @param {string} text The footprint.
 * @returns {Omit<Shape, 'row'>[]}
 */
export function parseRegion(text) {
    const found = [];
    const words = text.replace(/[(),]/g, " ").trim().split(/\s+/);
    let kind = "";
    let numbers = [];
    const finish = () => {
        const shape = shapeOf(kind, numbers);
        if (shape !== null) found.push(shape);
        numbers = [];
    };
    for (const word of words) {
        if (WORDS.test(word)) continue;
        const number = Number(word);
        if (word !== "" && Number.isFinite(number)) numbers.push(number);
        else {
            finish();
            kind = word.toUpperCase();
        }
    }
    finish();
    return found;
}

function shapeOf(kind, numbers) {
    if (numbers.some((one) => !Number.isFinite(one))) return null;
    if (kind === "CIRCLE" && numbers.length === 3) {
        return { circle: { ra: numbers[0], dec: numbers[1], radius: numbers[2] } };
    }
    if ((kind === "POSITION" || kind === "POINT") && numbers.length === 2)
        return { point: { ra: numbers[0], dec: numbers[1] } };
    if (kind === "POLYGON" && numbers.length >= 6 && numbers.length % 2 === 0) return { polygon: pairs(numbers) };
    if (kind === "RANGE" && numbers.length === 4) {
        const [west, east, south, north] = numbers;
        return {
            polygon: [
                [west, south],
                [east, south],
                [east, north],
                [west, north],
            ],
        };
    }
    return null;
}

/** @returns {[number, number][]} */
function pairs(numbers) {
    return Array.from({ length: numbers.length / 2 }, (_, place) => [numbers[2 * place], numbers[2 * place + 1]]);
}

/**
 * @typedef {object} SkyColumns
 * @property {number} region Column of footprints; -1 for none.
 * @property {number} ra Column of right ascensions; -1 for none.
 * @property {number} dec Column of declinations; -1 for none.
 * @property {number} point Column of points; -1 for none.
 */

/**
 * Return the columns that say where rows lie; null if none does.
 * @param {Table} table The result.
 * @returns {SkyColumns | null}
 */
export function skyColumns(table) {
    const find = (...tests) => {
        for (const test of tests) {
            const found = table.column(test);
            if (found >= 0) return found;
        }
        return -1;
    };
    const isRegion = (field) =>
        /^(polygon|circle)$/.test(field.xtype) || (isText(field) && /region$/i.test(field.xtype + field.name));
    const degrees = (pattern, ucd) => [
        (field) => isNumber(field) && field.ucd.startsWith(ucd) && field.ucd.includes("meta.main"),
        (field) => isNumber(field) && pattern.test(field.name) && (field.unit === "deg" || field.unit === ""),
        (field) =>
            isNumber(field) && field.ucd.startsWith(ucd) && field.unit !== "rad" && !/error|stat/.test(field.ucd),
    ];
    const found = {
        region: find(isRegion),
        ra: find(...degrees(/^(s_)?ra$/i, "pos.eq.ra")),
        dec: find(...degrees(/^(s_)?decl?$/i, "pos.eq.dec")),
        point: find((field) => field.xtype === "point"),
    };
    if (found.ra < 0 || found.dec < 0) [found.ra, found.dec] = [-1, -1];
    return found.region < 0 && found.ra < 0 && found.point < 0 ? null : found;
}

/**
 * Return the shapes of rows.
 * @param {Table} table The result.
 * @param {SkyColumns} columns Columns that say where rows lie.
 * @param {number} most Number of rows at most.
 * @returns {Shape[]}
 */
export function shapesOf(table, columns, most) {
    const shapes = [];
    const count = Math.min(most, table.length);
    for (let row = 0; row < count; row += 1) {
        const found = columns.region < 0 ? [] : footprints(table, row, columns.region);
        if (found.length > 0) shapes.push(...found.map((shape) => ({ row, ...shape })));
        else {
            const point = position(table, row, columns);
            if (point !== null) shapes.push({ row, point });
        }
    }
    return shapes;
}

function footprints(table, row, column) {
    const value = table.value(row, column);
    if (typeof value === "string") return parseRegion(value);
    if (!Array.isArray(value)) return [];
    const shape = shapeOf(table.fields[column].xtype.toUpperCase(), value);
    return shape === null ? [] : [shape];
}

function position(table, row, columns) {
    if (columns.ra >= 0) {
        const [ra, dec] = [table.number(row, columns.ra), table.number(row, columns.dec)];
        return Number.isFinite(ra) && Number.isFinite(dec) ? { ra, dec } : null;
    }
    const value = columns.point < 0 ? null : table.value(row, columns.point);
    return Array.isArray(value) && value.length === 2 ? { ra: value[0], dec: value[1] } : null;
}
