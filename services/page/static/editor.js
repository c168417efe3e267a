/**
 * The box in which a query is typed: CodeMirror where it is in place, the text area of the form elsewhere.
 * @module
 */

import { adqlTokens } from "./adql.js";
import { rangeOf } from "./checking.js";
import { completions } from "./completion.js";
import { nonce } from "./dom.js";

/**
 * @typedef {object} Editor
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {(text: string) => void} insert - at the cursor
 * @property {(problem: import("./checking.js").Problem | null) => void} mark - underline what is wrong
 * @property {() => void} focus
 */

/**
 * Return an editor in place of a text area.
 * @param {HTMLTextAreaElement} area - keeps the text, for the form
 * @param {{vocabulary: any, changed: (text: string) => void, run: () => void, module: string}} given - `module` is the address of CodeMirror
 * @returns {Promise<Editor>}
 */
export async function makeEditor(area, given) {
    let code;
    try {
        code = given.module ? await import(given.module) : null;
    } catch {
        code = null;
    }
    return code ? codeEditor(area, given, code) : plainEditor(area, given);
}

function plainEditor(area, { changed, run }) {
    area.addEventListener("input", () => changed(area.value));
    area.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            run();
        }
    });
    return {
        text: () => area.value,
        setText(text) {
            area.value = text;
            changed(text);
        },
        insert(text) {
            area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
            changed(area.value);
            area.focus();
        },
        mark(problem) {
            area.setAttribute("aria-invalid", String(problem !== null));
        },
        focus: () => area.focus(),
    };
}

function codeEditor(area, { vocabulary, changed, run }, code) {
    const { EditorView, EditorState, keymap, tags } = code;
    const style = code.HighlightStyle.define([
        { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
        { tag: tags.function(tags.variableName), color: "var(--code-function)" },
        { tag: tags.typeName, color: "var(--code-function)" },
        { tag: tags.string, color: "var(--code-string)" },
        { tag: tags.number, color: "var(--code-number)" },
        { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
    ]);
    const tokens = { ...adqlTokens(vocabulary), tokenTable: { function: tags.function(tags.variableName) } };
    const extensions = [
        EditorView.cspNonce.of(nonce()),
        code.history(),
        code.drawSelection(),
        code.bracketMatching(),
        code.closeBrackets(),
        code.StreamLanguage.define(tokens),
        code.syntaxHighlighting(style),
        code.lintGutter(),
        code.placeholder(area.placeholder),
        code.autocompletion({
            override: [
                (context) => {
                    const word = context.matchBefore(/[\w".]+$/);
                    if (!word && !context.explicit) return null;
                    return { ...completions(vocabulary, context.state.doc.toString(), context.pos), validFor: /^[\w"]*$/ };
                },
            ],
        }),
        code.Prec.highest(
            keymap.of([
                {
                    key: "Mod-Enter",
                    run() {
                        run();
                        return true;
                    },
                },
            ]),
        ),
        // Tab leaves the editor, as in all fields of a form.
        keymap.of([...code.closeBracketsKeymap, ...code.completionKeymap, ...code.lintKeymap, ...code.historyKeymap, ...code.defaultKeymap]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-labelledby": "text-label", "aria-describedby": "problem", spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            area.value = update.state.doc.toString();
            changed(area.value);
        }),
        EditorView.theme({
            "&": { backgroundColor: "transparent", color: "var(--ink)", fontSize: ".875rem" },
            "&.cm-focused": { outline: "none" },
            ".cm-scroller": { fontFamily: "var(--mono)", minHeight: "9rem", maxHeight: "45vh" },
            ".cm-content": { padding: ".75rem .25rem", caretColor: "var(--ink)" },
            ".cm-cursor": { borderLeftColor: "var(--ink)" },
            "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--mark)" },
            ".cm-gutters": { backgroundColor: "transparent", border: "none" },
            ".cm-placeholder": { color: "var(--soft)" },
            ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px", maxWidth: "32rem" },
            ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "18rem" },
            ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
            ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal" },
            ".cm-tooltip-autocomplete > ul > li[aria-selected] .cm-completionDetail": { color: "inherit" },
            ".cm-diagnostic": { borderLeft: "4px solid var(--bad)", padding: ".4rem .7rem" },
            ".cm-diagnosticAction": { backgroundColor: "var(--accent)", color: "var(--on-accent)", padding: ".15rem .6rem", cursor: "pointer" },
        }),
    ];
    const view = new EditorView({ state: EditorState.create({ doc: area.value, extensions }) });
    area.hidden = true;
    area.before(view.dom);
    return {
        text: () => view.state.doc.toString(),
        setText(text) {
            view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text }, selection: { anchor: text.length } });
        },
        insert(text) {
            view.dispatch(view.state.replaceSelection(text));
            view.focus();
        },
        mark(problem) {
            const text = view.state.doc.toString();
            view.dispatch(code.setDiagnostics(view.state, problem ? [diagnostic(text, problem)] : []));
        },
        focus: () => view.focus(),
    };
}

function diagnostic(text, problem) {
    const range = rangeOf(text, problem);
    const actions = problem.replacement
        ? [
              {
                  name: `Write ${problem.replacement}`,
                  apply: (view, from, to) => view.dispatch({ changes: { from, to, insert: problem.replacement } }),
              },
          ]
        : [];
    return { ...range, severity: "error", message: [problem.problem, problem.hint].filter(Boolean).join(": "), actions };
}
