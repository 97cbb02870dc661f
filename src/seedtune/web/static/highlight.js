// Colours for the code in an answer: fenced blocks only, and Python's words; everything else stays as it is written.

import { h, number, plain } from "./dom.js";

const SHOWN = 100_000;

const FENCE = /(^[ \t]*```[^\n]*\n[\s\S]*?(?:^[ \t]*```[ \t]*$|$(?![\s\S])))/mu;
const KEYWORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally for from global if " +
    "import in is lambda nonlocal not or pass raise return try while with yield match case").split(" "),
);
const TOKEN = new RegExp(
  [
    /(?<comment>#[^\n]*)/,
    /(?<string>[rbfuRBFU]{0,2}(?:"""[\s\S]*?(?:"""|$(?![\s\S]))|'''[\s\S]*?(?:'''|$(?![\s\S]))|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))/,
    /(?<number>\b\d[\w.]*)/,
    /(?<word>[^\W\d]\w*)/,
  ].map((part) => part.source).join("|"),
  "gmu",
);

/** Nodes for a text with fenced code in it; of a text that nobody would read, its beginning. */
export function highlight(text) {
  const parts = text.slice(0, SHOWN).split(new RegExp(FENCE, "gmu")).filter(Boolean).map((part) =>
    FENCE.test(part) ? h("pre", { className: "code", tabIndex: 0 }, code(part)) : h("div", { className: "prose" }, plain(part)),
  );
  const rest = text.length - SHOWN;
  return rest > 0 ? [...parts, h("p", { className: "soft" }, `… ${number(rest)} more characters are not shown.`)] : parts;
}

function code(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const { comment, string, number, word } = found.groups;
    const kind = comment ? "comment" : string ? "string" : number ? "number" : KEYWORDS.has(word) ? "keyword" : null;
    if (!kind) continue;
    nodes.push(plain(text.slice(end, found.index)), h("span", { className: kind }, plain(found[0])));
    end = found.index + found[0].length;
  }
  nodes.push(plain(text.slice(end)));
  return nodes;
}
