/** The panel of what one takes away: files in each format, the address, commands that send the query again. */

import { make, messageOf, send } from "../dom.js";
import { asCurl, asPyvo, fileAddress, formatsOf, parametersOf } from "./code.js";
import { copyButton } from "./copying.js";

const LONGEST_ADDRESS = 12_000;

/**
 * Return the panel.
 * @param {import('./code.js').Request} request How the query is sent again.
 * @param {string} address Address of the page that repeats it.
 * @returns {HTMLElement}
 */
export function takePanel(request, address) {
    const held = request.result ? " VOTable is the file of the job; for others the query runs once more." : "";
    const same = request.snapshot === "" ? "" : `, as of snapshot ${request.snapshot}`;
    return make(
        "div",
        { class: "take" },
        make(
            "section",
            {},
            make("h3", { text: "Files" }),
            make("p", { class: "more", text: `The service sends the rows again${same}, all of them up to MAXREC.${held}` }),
            make("ul", { class: "formats" }, ...formatsOf(request).map((format) => make("li", {}, download(request, format)))),
        ),
        snippet("Address", address, "Copy address"),
        snippet("pyvo", asPyvo(request), "Copy as pyvo code"),
        snippet("curl", asCurl(request), "Copy as curl"),
    );
}

function snippet(title, text, label) {
    const code = make("pre", { tabindex: "0", role: "region", "aria-label": title }, make("code", { text }));
    const head = make(
        "div",
        { class: "snippet-head" },
        make("h3", { text: title }),
        copyButton(label, () => text),
    );
    return make("section", { class: "snippet" }, head, code);
}

function download(request, format) {
    const isHeld = request.result && format.name === "votable";
    const address = isHeld ? request.result : fileAddress(request, format.name);
    const name = `result.${format.suffix}`;
    const facts = { class: "button", text: format.label, title: format.note };
    const isLong = address.length > LONGEST_ADDRESS;
    if (!isLong && format.name !== "fits") return make("a", { ...facts, download: name, href: address });
    // A query that is too long for an address is sent in a body, and FITS cannot hold all that a result has: a
    // browser would say no more than that the download failed. The file is made here.
    const told = make("span", { class: "problem", role: "alert", hidden: true });
    const button = isLong ? make("button", { ...facts, type: "button" }) : make("a", { ...facts, download: name, href: address });
    button.addEventListener("click", (event) => {
        event.preventDefault();
        void save(request, format, name, { button, told });
    });
    return make("span", {}, button, told);
}

async function save(request, format, name, { button, told }) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    told.hidden = true;
    try {
        const body = new URLSearchParams(parametersOf(request, format.name));
        const response = await send(`${request.tapUrl}/sync`, { method: "POST", body });
        if (!response.ok) throw new Error(messageOf(await response.text()));
        const url = URL.createObjectURL(await response.blob());
        make("a", { href: url, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
        told.hidden = false;
        told.textContent = error.message;
    } finally {
        button.ariaBusy = "false";
    }
}
