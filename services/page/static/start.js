/**
 * The start page before its figures are read: it is loaded again when they will be there.
 * @module
 */

const LATER_MS = 1500;

setTimeout(() => location.reload(), LATER_MS);
