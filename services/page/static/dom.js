/**
 * Elements of the page, made without any text that is read as HTML.
 * @module
 */

/**
 * Return a new element.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] - attributes; `class`, `text`, `on` (listeners by event) and `data` too
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === null || value === undefined || value === false) continue;
        if (name === "text") element.textContent = String(value);
        else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
        else if (name === "data") Object.assign(element.dataset, value);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.filter((one) => one !== null && one !== undefined));
    return element;
}

/**
 * Return the element with an ID.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
    return document.getElementById(id);
}

/**
 * What the server says to all scripts of a page.
 * @type {{root: string, assets: string, tap: string, user: string}}
 */
export const page = {
    root: document.body.dataset.root ?? "",
    assets: document.body.dataset.assets ?? "",
    tap: `${document.body.dataset.root ?? ""}/tap`,
    user: document.body.dataset.user ?? "",
};

/** Word by which the policy of the page knows styles that its scripts add. @returns {string} */
export function nonce() {
    return document.querySelector("script[nonce]")?.nonce ?? "";
}

/**
 * Return a function that is called once its calls have ceased for a while.
 * @param {(...values: any[]) => void} call
 * @param {number} milliseconds
 */
export function settled(call, milliseconds) {
    let timer = 0;
    return (...values) => {
        clearTimeout(timer);
        timer = setTimeout(() => call(...values), milliseconds);
    };
}

/**
 * Send a request as `fetch` does, whose error for a service that is away says nothing that helps.
 * @param {string} address
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function send(address, options) {
    try {
        return await fetch(address, options);
    } catch (error) {
        if (error.name === "AbortError" || options?.signal?.aborted) throw error;
        throw new Error("the service does not answer: it may have stopped, or the network is away; try again later");
    }
}

/**
 * Return the message of an error document (DALI 1.1 section 4.4), or the text itself.
 * @param {string} text
 * @returns {string}
 */
export function messageOf(text) {
    const found = new DOMParser().parseFromString(text, "text/xml").querySelector('INFO[name="QUERY_STATUS"]');
    return (found?.textContent ?? text).trim();
}
