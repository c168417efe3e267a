/** The panel of what one takes away: files in each format, the address, commands that send the query again. */

import { make } from "../dom.js";
import { asCurl, asPyvo, fileAddress, FORMATS, parametersOf } from "./code.js";
import { copyButton } from "./copying.js";

const LONGEST_ADDRESS = 12_000;

/**
 * Return the panel.
 * @param {import('./code.js').Request} request How the query is sent again.
 * @param {string} address Address of the page that repeats it.
 * @returns {HTMLElement}
 */
export function takePanel(request, address) {
    const same = request.snapshot === "" ? "" : `, as of snapshot ${request.snapshot}`;
    return make(
        "div",
        { class: "take" },
        make(
            "section",
            {},
            make("h3", { text: "Files" }),
            make("p", { class: "more", text: `The service sends the rows again${same}, all of them up to MAXREC.` }),
            make("ul", { class: "formats" }, ...FORMATS.map((format) => make("li", {}, download(request, format)))),
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
    const address = fileAddress(request, format.name);
    const name = `result.${format.suffix}`;
    const facts = { class: "button", text: format.label, title: format.note, download: name };
    if (address.length <= LONGEST_ADDRESS) return make("a", { ...facts, href: address });
    // A query that is too long for an address is sent in a body: the file is made here.
    const button = make("button", { class: "button", type: "button", text: format.label, title: format.note });
    button.addEventListener("click", () => save(request, format.name, name, button));
    return button;
}

async function save(request, format, name, button) {
    const label = button.textContent;
    button.disabled = true;
    try {
        const body = new URLSearchParams(parametersOf(request, format));
        const response = await fetch(`${request.tapUrl}/sync`, { method: "POST", body });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const url = URL.createObjectURL(await response.blob());
        make("a", { href: url, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
        button.textContent = label;
    } catch (error) {
        button.textContent = `${label}: ${error.message}`;
    } finally {
        button.disabled = false;
    }
}
