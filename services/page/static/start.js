/**
 * The start page before its figures are read: it is loaded again when they will be there, unless somebody
 * types or has gone on by keys meanwhile.
 * @module
 */

const LATER_MS = 1500;

function loadAgain() {
    const isUsed = document.activeElement !== document.body || document.getElementById("q").value !== "";
    if (isUsed) setTimeout(loadAgain, LATER_MS);
    else location.reload();
}

setTimeout(loadAgain, LATER_MS);
