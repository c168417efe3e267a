/** How a query is sent again: as an address, with curl, with pyvo, and into files of each format. */

/**
 * @typedef {object} Request
 * @property {string} tapUrl URL of the TAP service.
 * @property {string} query The query in ADQL.
 * @property {string} maxrec MAXREC; empty for that of the service.
 * @property {string} snapshot PPDB_SNAPSHOT; empty for a query over tables without versions.
 * @property {string} [format] Format in which its rows could be read; the first of `FORMATS` unless it says another one.
 * @property {string} [result] URL of the file that a job has made; a query that takes long is sent to a job again.
 */

/** Formats of files: what the service calls each, its suffix, and what it is for. */
export const FORMATS = [
    { name: "votable", suffix: "vot", label: "VOTable", note: "binary; pyvo, astropy, TOPCAT" },
    { name: "votable/td", suffix: "xml", label: "VOTable (text)", note: "text that people can read" },
    { name: "parquet", suffix: "parquet", label: "Parquet", note: "pandas, polars" },
    { name: "arrow", suffix: "arrows", label: "Arrow", note: "a stream of record batches" },
    { name: "fits", suffix: "fits", label: "FITS", note: "a binary table" },
    { name: "csv", suffix: "csv", label: "CSV", note: "spreadsheets" },
    { name: "tsv", suffix: "tsv", label: "TSV", note: "spreadsheets" },
    { name: "json", suffix: "json", label: "JSON", note: "columns and rows" },
];

/**
 * Return the formats in which the rows can be written: a VOTable in binary has no letters beyond ASCII that come late.
 * @param {Request} request The request.
 */
export function formatsOf({ format }) {
    return FORMATS.slice(Math.max(0, FORMATS.findIndex(({ name }) => name === format)));
}

/**
 * Return the parameters of a request.
 * @param {Request} request The request.
 * @param {string} format Name of a format.
 * @returns {[string, string][]}
 */
export function parametersOf({ query, maxrec, snapshot }, format) {
    const found = [
        ["LANG", "ADQL"],
        ["QUERY", query],
        ["RESPONSEFORMAT", format],
    ];
    if (maxrec !== "") found.push(["MAXREC", maxrec]);
    if (snapshot !== "") found.push(["PPDB_SNAPSHOT", snapshot]);
    return found;
}

/**
 * Return the address of a file.
 * @param {Request} request The request.
 * @param {string} format Name of a format.
 */
export function fileAddress(request, format) {
    return `${request.tapUrl}/sync?${new URLSearchParams(parametersOf(request, format))}`;
}

/**
 * Return a command that fetches the result.
 * @param {Request} request The request.
 */
export function asCurl(request) {
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    if (request.result) return `curl --fail-with-body --location --output result.vot ${quoted(request.result)}`;
    const lines = parametersOf(request, formatsOf(request)[0].name).map((pair) => `  --data-urlencode ${quoted(pair.join("="))}`);
    return [`curl --fail-with-body --output result.vot ${quoted(`${request.tapUrl}/sync`)}`, ...lines].join(" \\\n");
}

/**
 * Return Python that fetches the result with pyvo.
 * @param {Request} request The request.
 */
export function asPyvo(request) {
    const { tapUrl, query, maxrec, snapshot } = request;
    const more = [];
    if (maxrec !== "") more.push(`maxrec=${Number(maxrec)}`);
    if (snapshot !== "") more.push(`PPDB_SNAPSHOT=${JSON.stringify(snapshot)}`);
    const [{ name }] = formatsOf(request);
    if (name !== FORMATS[0].name) more.push(`RESPONSEFORMAT=${JSON.stringify(name)}`);
    return [
        "import pyvo",
        "",
        `service = pyvo.dal.TAPService(${pythonText(tapUrl)})`,
        `query = ${pythonText(query)}`,
        `result = service.${request.result ? "run_async" : "run_sync"}(${["query", ...more].join(", ")})`,
        "table = result.to_table()",
        "",
    ].join("\n");
}

/** Return a literal of Python for a text, of several lines if it has some. */
function pythonText(text) {
    if (!text.includes("\n")) return JSON.stringify(text);
    const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replace(/\r\n?/g, "\n");
    return `"""${escaped}"""`;
}
