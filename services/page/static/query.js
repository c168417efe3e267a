/**
 * The query box: what is typed is checked, planned and run; the address says what is shown.
 * @module
 */

import { addressOf, readAddress } from "./address.js";
import { showBrowser } from "./browser.js";
import { check, plan, rangeOf } from "./checking.js";
import { byId, make, page, settled } from "./dom.js";
import { makeEditor } from "./editor.js";
import { forgetOthers, note, showHistory } from "./history.js";
import { beginJob, CANCELLED, counted, jobAddress, resultOfJob, runNow } from "./running.js";
import { queryWithCone } from "./result/sky/cone.js";
import { showResult } from "./result/view.js";

const CHECK_MS = 250;
const PLAN_MS = 700;
const EMPTY = { tables: [], keywords: [], functions: [], types: [], reserved: [] };

const form = byId("ask");
const state = byId("state");
const problemLine = byId("problem");
const missing = new Set((document.querySelector(".desk").dataset.missing ?? "").split(" "));

/** @type {AbortController | null} */
let running = null;
let asked = new AbortController();
/** What the address said when it was last followed or set. */
let followed = "";
/** What was said of a service that does not answer. */
let away = "";

const vocabulary = await fetch(`${page.root}/page/vocabulary`)
    .then((response) => (response.ok ? response.json() : EMPTY))
    .catch(() => EMPTY);
const editor = await makeEditor(byId("text"), {
    vocabulary,
    changed,
    run: () => run(),
    module: missing.has("editor") ? "" : `${page.assets}/vendor/editor.js`,
});
const look = settled(lookAt, CHECK_MS);
const ahead = settled(lookAhead, PLAN_MS);
const keep = settled(keepDraft, CHECK_MS);

/** @param {string} text */
function changed(text) {
    asked.abort();
    asked = new AbortController();
    byId("plan").replaceChildren();
    look(text, asked.signal);
    ahead(text, asked.signal);
    keep(text);
}

/** Keep what is typed for the way back from another page, or a reload. */
function keepDraft(text) {
    const draft = text === readAddress().query ? null : { text, user: page.user };
    history.replaceState(draft, "");
}

/** Say what is wrong with a query that is being typed. */
async function lookAt(text, signal) {
    if (!text.trim()) return tellProblem(null);
    await quietly(async () => tellProblem(await check(text, signal)));
}

/** Say how a query would be answered. */
async function lookAhead(text, signal) {
    if (!text.trim()) return;
    await quietly(async () => {
        const found = await plan(text, signal);
        if (found.ok) byId("plan").replaceChildren(planText(found));
    });
}

/** Do what the person has not asked for: it may fail without a word. */
async function quietly(work) {
    try {
        await work();
        // What a query has come to meanwhile stays.
        if (away && state.firstChild?.textContent === away) say("");
        away = "";
    } catch (error) {
        if (error.name === "AbortError") return;
        away = error.message;
        say(away);
    }
}

function planText(found) {
    const steps = found.steps.map((one) => make("li", { class: one.slow ? "scan" : "", text: one.text }));
    const long = found.verdict === "scan" && byId("as-job") ? " It may take long: run it in the background." : "";
    const summary = make("summary", { class: found.verdict, text: found.summary + long });
    return make("details", {}, summary, steps.length ? make("ul", {}, ...steps) : null);
}

/** @param {import("./checking.js").Problem | null} problem */
function tellProblem(problem) {
    editor.mark(problem);
    problemLine.hidden = !problem;
    if (!problem) return problemLine.replaceChildren();
    const where = problem.line === null || problem.line === undefined ? "" : ` (line ${problem.line}, column ${problem.column})`;
    const mend = () => editor.replace(rangeOf(editor.text(), problem), problem.replacement);
    problemLine.replaceChildren(
        `${problem.problem}${where}${problem.hint ? `: ${problem.hint}` : ""} `,
        problem.replacement ? make("button", { type: "button", id: "mend", text: `Write ${problem.replacement}`, on: { click: mend } }) : "",
    );
}

/**
 * Run what is in the box.
 * @param {{job?: string, keepAddress?: boolean}} [given] - a job that was begun before
 */
async function run({ job = "", keepAddress = false } = {}) {
    running?.abort();
    const mine = (running = new AbortController());
    const query = editor.text().trim();
    const maxrec = byId("maxrec").value.trim();
    if (!query && !job) return;
    const isJob = Boolean(job || byId("as-job")?.checked);
    const begin = performance.now();
    const tell = (text, more = "") => say(text, `${more} · ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    let [doing, received] = ["running", ""];
    const clock = setInterval(() => tell(doing, received), 200);
    setRunning(true);
    let told = "";
    let name = job;
    try {
        let address = "";
        if (isJob) {
            const found = job ? jobAddress(job) : await beginJob(query, maxrec);
            name = found.split("/").pop();
            address = addressOf({ query, maxrec, job: name });
            if (!keepAddress && running === mine) setAddress(address);
            const response = await resultOfJob(found, (phase) => (doing = `job: ${phase.toLowerCase()}`), mine.signal);
            told = await show(response, query, address, {
                signal: mine.signal,
                result: new URL(`${jobAddress(name)}/results/result`, location.href).href,
            });
        } else {
            address = addressOf({ query, maxrec, run: true });
            if (!keepAddress) setAddress(address);
            const response = await runNow(query, maxrec, mine.signal);
            told = await show(counted(response, (bytes) => ([doing, received] = ["receiving", ` · ${size(bytes)}`])), query, address, { signal: mine.signal });
        }
        if (mine.signal.aborted) told = left(mine.signal, isJob);
    } catch (error) {
        told = mine.signal.aborted ? left(mine.signal, isJob) : "failed";
        if (running === mine) byId("result").replaceChildren(...(mine.signal.aborted ? [] : failure(error.message, job)));
    } finally {
        clearInterval(clock);
        if (running === mine) {
            tell(told);
            setRunning(false);
            running = null;
        }
        if (query) note(query, told, name);
        showHistory(byId("history-list"), take);
    }
}

/** Return what became of a query for which the page no longer waits. */
function left(signal, isJob) {
    return isJob && signal.reason !== CANCELLED ? "runs in the background" : "cancelled";
}

/** Return what is shown of an error; a query that took too long may run in the background. */
function failure(message, job) {
    const box = byId("as-job");
    const again = () => {
        box.checked = true;
        byId("run").focus();
        run();
    };
    const isLong = box && !job && !box.checked && /longer than/.test(message);
    return [
        make("pre", { class: "problem", role: "alert", text: message }),
        isLong ? make("p", {}, make("button", { type: "button", text: "Run it in the background", on: { click: again } })) : "",
    ];
}

async function show(response, query, address, more) {
    const found = await showResult(byId("result"), response, {
        query,
        address,
        snapshot: response.headers.get("PPDB-Snapshot") ?? "",
        tapUrl: new URL(page.tap, location.href).href,
        ...more,
    });
    const rows = `${found.rows.toLocaleString("en")} ${found.rows === 1 ? "row" : "rows"}`;
    if (found.isCut) return `${rows}, not complete`;
    return `${rows}${found.overflow ? ", and there are more" : ""}`;
}

function size(bytes) {
    return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Say what becomes of the query; of the second part, which changes all the time, screen readers say nothing.
 * @param {string} text
 * @param {string} [more]
 */
function say(text, more = "") {
    if (state.firstChild?.textContent !== text) {
        state.replaceChildren(make("span", { text }), make("span", { "aria-hidden": "true" }));
    }
    state.lastChild.textContent = more;
}

function setRunning(is) {
    if (!is && document.activeElement === byId("cancel")) byId("run").focus();
    byId("cancel").hidden = !is;
    state.classList.toggle("running", is);
}

/** Put a query into the box. */
function take(query) {
    editor.setText(query);
    editor.focus();
    scrollTo({ top: 0 });
}

function setAddress(address) {
    // What was typed is in the new address.
    history.replaceState(null, "");
    history.pushState(null, "", address);
    followed = JSON.stringify(readAddress());
}

/** Go back or forward; a jump within the page, as to its content, leaves all as it is. */
function move() {
    const isJump = location.hash && !location.hash.includes("QUERY=");
    if (isJump || JSON.stringify(readAddress()) === followed) return;
    running?.abort();
    byId("result").replaceChildren();
    say("");
    followAddress();
}

/** @param {string | null} [typed] - what was typed before this script was there: it goes before the address */
function followAddress(typed = null) {
    const found = readAddress();
    followed = JSON.stringify(found);
    const draft = typed ?? (history.state?.user === page.user ? history.state.text : null);
    const text = draft ?? found.query;
    if (text !== editor.text()) editor.setText(text);
    byId("maxrec").value = found.maxrec;
    if (draft !== null) return;
    if (found.job) run({ job: found.job, keepAddress: true });
    else if (found.run && found.query) run({ keepAddress: true });
}

form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
});
byId("cancel").addEventListener("click", () => running?.abort(CANCELLED));
byId("examples").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-query]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    byId("examples").open = false;
    take(link.dataset.query);
});
byId("result").addEventListener("tapdb:cone", ({ detail }) => {
    const found = queryWithCone(editor.text(), detail, vocabulary.tables);
    if (found) take(found);
    else say("The query names no table with places on the sky.");
});
addEventListener("popstate", move);

forgetOthers();
showHistory(byId("history-list"), take);
showBrowser(byId("browser"), vocabulary, (name) => editor.insert(name));
if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".browser details").open = false;
followAddress(editor.text() === byId("text").defaultValue ? null : editor.text());
if (editor.text()) changed(editor.text());
document.documentElement.dataset.ready = "yes";
