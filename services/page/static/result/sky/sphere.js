/** Geometry on the sphere: what lies in what, how far apart things are; angles in degrees. */

/** @typedef {import('./regions.js').Shape} Shape */
/** @typedef {{ra: number, dec: number}} Position */

/**
 * Return a middle of shapes and how far they reach from it, in degrees.
 * @param {Shape[]} shapes The shapes.
 */
export function around(shapes) {
    const vectors = shapes.flatMap(cornersOf).map(([ra, dec]) => vector(ra, dec));
    if (vectors.length === 0) return { ra: 0, dec: 0, radius: 90 };
    const sum = vectors.reduce((total, one) => total.map((value, axis) => value + one[axis]), [0, 0, 0]);
    const size = Math.hypot(...sum);
    const middle = size < 1e-9 * vectors.length ? vectors[0] : sum.map((value) => value / size);
    const ra = ((Math.atan2(middle[1], middle[0]) * 180) / Math.PI + 360) % 360;
    const dec = (Math.asin(Math.max(-1, Math.min(1, middle[2]))) * 180) / Math.PI;
    const radii = shapes.map((shape) => shape.circle?.radius ?? 0);
    const far = vectors.reduce((most, one) => Math.max(most, angle(one, middle)), 0);
    return { ra, dec, radius: Math.min(180, far + Math.max(0, ...radii.slice(0, 1000))) };
}

/** @returns {[number, number][]} */
function cornersOf(shape) {
    if (shape.polygon !== undefined) return shape.polygon;
    const { ra, dec } = shape.circle ?? shape.point;
    return [[ra, dec]];
}

function vector(ra, dec) {
    const [a, d] = [(ra * Math.PI) / 180, (dec * Math.PI) / 180];
    return [Math.cos(d) * Math.cos(a), Math.cos(d) * Math.sin(a), Math.sin(d)];
}

/** Return the angle between two directions, in degrees; exact for small ones too. */
function angle(one, other) {
    const cross = [
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    ];
    const dot = one.reduce((sum, value, axis) => sum + value * other[axis], 0);
    return (Math.atan2(Math.hypot(...cross), dot) * 180) / Math.PI;
}

/**
 * Return the distance of two positions, in degrees.
 * @param {{ra: number, dec: number}} one A position.
 * @param {{ra: number, dec: number}} other Another one.
 */
export function separation(one, other) {
    return angle(vector(one.ra, one.dec), vector(other.ra, other.dec));
}

/**
 * Return whether a shape has a position within it; of a point, whether it is near.
 * @param {Omit<Shape, 'row'>} shape The shape.
 * @param {Position} position The position.
 * @param {number} near How far away a point may be.
 */
export function contains(shape, position, near) {
    if (shape.point !== undefined) return separation(shape.point, position) <= near;
    if (shape.circle !== undefined) return separation(shape.circle, position) <= shape.circle.radius;
    return isWithin(shape.polygon, position);
}

/**
 * Return whether a shape has a corner or its centre within a cone.
 * @param {Omit<Shape, 'row'>} shape The shape.
 * @param {Position & {radius: number}} cone The cone.
 */
export function touches(shape, cone) {
    const reach = cone.radius + (shape.circle?.radius ?? 0);
    return cornersOf(shape).some(([ra, dec]) => separation({ ra, dec }, cone) <= reach) || contains(shape, cone, 0);
}

/** Return whether a polygon has a position within it: seen from there, its corners go around it. */
function isWithin(polygon, position) {
    const centre = vector(position.ra, position.dec);
    const [east, north] = axes(position);
    const angles = [];
    for (const [ra, dec] of polygon) {
        const corner = vector(ra, dec);
        if (dot(corner, centre) <= 0) return false;
        angles.push(Math.atan2(dot(corner, north), dot(corner, east)));
    }
    let turned = 0;
    angles.forEach((one, place) => {
        const step = angles[(place + 1) % angles.length] - one;
        turned += step - 2 * Math.PI * Math.round(step / (2 * Math.PI));
    });
    return Math.abs(turned) > Math.PI;
}

function axes({ ra, dec }) {
    const [a, d] = [(ra * Math.PI) / 180, (dec * Math.PI) / 180];
    return [
        [-Math.sin(a), Math.cos(a), 0],
        [-Math.sin(d) * Math.cos(a), -Math.sin(d) * Math.sin(a), Math.cos(d)],
    ];
}

function dot(one, other) {
    return one.reduce((sum, value, axis) => sum + value * other[axis], 0);
}
