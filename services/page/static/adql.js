/**
 * ADQL as the editor colours it: words, functions, names, numbers, strings, comments (ADQL 2.1 section 2.1).
 * @module
 */

/**
 * Return what the editor needs to colour ADQL.
 * @param {{keywords: string[], functions: {name: string}[], reserved: string[], types: string[]}} vocabulary
 */
export function adqlTokens(vocabulary) {
    const functions = new Set(vocabulary.functions.map((one) => one.name.toUpperCase()));
    const words = new Set([...vocabulary.keywords, ...vocabulary.reserved]);
    const types = new Set(vocabulary.types);
    return {
        name: "adql",
        languageData: { commentTokens: { line: "--" }, closeBrackets: { brackets: ["(", "'", '"'] } },
        startState: () => ({}),
        token(stream) {
            if (stream.eatSpace()) return null;
            if (stream.match(/^--.*/)) return "comment";
            if (stream.match(/^'(?:[^']|'')*'?/)) return "string";
            if (stream.match(/^"(?:[^"]|"")*"?/)) return "variableName";
            if (stream.match(/^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/)) return "number";
            const word = stream.match(/^[A-Za-z_]\w*/);
            if (word) {
                const text = word[0].toUpperCase();
                if (functions.has(text) && stream.match(/^\s*\(/, false)) return "function";
                if (types.has(text) && !words.has(text)) return "typeName";
                return words.has(text) ? "keyword" : "variableName";
            }
            stream.next();
            return "operator";
        },
    };
}
