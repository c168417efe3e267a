/**
 * The box in which a query is typed: CodeMirror where it is in place, the text area of the form elsewhere.
 * @module
 */

import { adqlTokens } from "./adql.js";
import { rangeOf } from "./checking.js";
import { completions } from "./completion.js";
import { make, nonce } from "./dom.js";

/**
 * @typedef {object} Editor
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {(text: string) => void} insert - at the cursor
 * @property {(problem: import("./checking.js").Problem | null) => void} mark - underline what is wrong
 * @property {(range: {from: number, to: number}, text: string) => void} replace
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
        replace({ from, to }, text) {
            area.setRangeText(text, from, to, "end");
            changed(area.value);
            area.focus();
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
    const faults = markers(code);
    const tokens = { ...adqlTokens(vocabulary), tokenTable: { function: tags.function(tags.variableName) } };
    const extensions = [
        EditorView.cspNonce.of(nonce()),
        code.history(),
        code.drawSelection(),
        code.bracketMatching(),
        code.closeBrackets(),
        code.StreamLanguage.define(tokens),
        code.syntaxHighlighting(style),
        faults.extension,
        code.placeholder(area.placeholder),
        code.autocompletion({
            maxRenderedOptions: 12,
            override: [
                (context) => {
                    const word = context.matchBefore(/[\w".]+$/);
                    if (!word && !context.explicit) return null;
                    const found = completions(vocabulary, context.state.doc.toString(), context.pos, context.explicit);
                    const typed = context.state.sliceDoc(found.from, context.pos).toLowerCase();
                    // A name that is there as a whole needs nothing.
                    if (!context.explicit && found.options.some((one) => one.label.toLowerCase() === typed)) return null;
                    return { ...found, validFor: /^[\w"]*$/ };
                },
            ],
        }),
        code.Prec.highest(
            keymap.of([
                {
                    key: "Mod-Enter",
                    run(view) {
                        code.closeCompletion(view);
                        run();
                        return true;
                    },
                },
            ]),
        ),
        // Tab leaves the editor, as in all fields of a form.
        keymap.of([...code.closeBracketsKeymap, ...code.completionKeymap, ...code.historyKeymap, ...code.defaultKeymap]),
        EditorView.lineWrapping,
        EditorView.domEventHandlers({ beforeinput: replaceSelected(EditorView) }),
        EditorView.contentAttributes.of({ "aria-labelledby": "text-label", "aria-describedby": "problem", spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            area.value = update.state.doc.toString();
            changed(area.value);
        }),
        EditorView.theme({
            ".cm-content": { padding: ".75rem .25rem", caretColor: "var(--ink)" },
            "&": { backgroundColor: "transparent", color: "var(--ink)", fontSize: ".875rem" },
            "&.cm-focused": { outline: "none" },
            ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", minHeight: "9rem", maxHeight: "45vh" },
            ".cm-cursor": { borderLeftColor: "var(--ink)" },
            "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--mark)" },
            ".cm-fault": { textDecoration: "underline wavy var(--bad) 1px", textUnderlineOffset: "5px" },
            ".cm-hint": { color: "var(--bad)", whiteSpace: "pre-wrap", padding: "0 6px 0", userSelect: "none" },
            ".cm-placeholder": { color: "var(--soft)" },
            ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px", maxWidth: "32rem" },
            ".cm-tooltip.cm-tooltip-autocomplete": { marginTop: "3px" },
            ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "none" },
            ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
            ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal" },
            ".cm-tooltip-autocomplete > ul > li[aria-selected] .cm-completionDetail": { color: "inherit" },
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
            view.dispatch({ effects: faults.set.of(problem) });
        },
        replace({ from, to }, text) {
            view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length } });
            view.focus();
        },
        focus: () => view.focus(),
    };
}

/**
 * Return what puts typed text in place of selected text. Chromium would keep its colours, in style attributes, which
 * the policy of the page refuses.
 */
function replaceSelected(EditorView) {
    return (event, view) => {
        const { from, to, empty } = view.state.selection.main;
        if (event.inputType !== "insertText" || !event.data || empty || view.composing) return false;
        event.preventDefault();
        const plain = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type" });
        const handlers = view.state.facet(EditorView.inputHandler);
        if (!handlers.some((one) => one(view, from, to, event.data, plain))) view.dispatch(plain());
        return true;
    };
}

/**
 * Return what underlines the part of a query that is at fault, with the hint below it, at a caret.
 */
function markers({ Decoration, EditorView, StateEffect, StateField, WidgetType }) {
    class Hint extends WidgetType {
        constructor(column, text) {
            super();
            Object.assign(this, { column, text });
        }
        eq(other) {
            return other.column === this.column && other.text === this.text;
        }
        toDOM() {
            // Screen readers have the line below the editor.
            return make("div", { class: "cm-hint", "aria-hidden": "true", text: `${" ".repeat(this.column)}^ ${this.text}` });
        }
    }
    const set = StateEffect.define();
    const draw = (state, problem) => {
        if (!problem || problem.line === null) return Decoration.none;
        const { from, to } = rangeOf(state.doc.toString(), problem);
        const line = state.doc.lineAt(from);
        const hint = Decoration.widget({ widget: new Hint(from - line.from, problem.hint || problem.problem), block: true, side: 1 });
        const fault = to > from ? [Decoration.mark({ class: "cm-fault" }).range(from, to)] : [];
        return Decoration.set([...fault, hint.range(line.to)], true);
    };
    const field = StateField.define({
        create: () => Decoration.none,
        update(found, transaction) {
            for (const effect of transaction.effects) if (effect.is(set)) return draw(transaction.state, effect.value);
            return found.map(transaction.changes);
        },
        provide: (one) => EditorView.decorations.from(one),
    });
    return { extension: field, set };
}
