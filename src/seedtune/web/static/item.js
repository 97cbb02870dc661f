// One candidate, large: what is on the row at once, and what stands behind it when it has come.

import { command, h, plain } from "./dom.js";
import { highlight } from "./highlight.js";

const WORDS = { accept: "accepted", reject: "rejected", none: "open" };

/** What the row itself says: drawn with the key press, without waiting for anything. */
export function face(row) {
  const mine = row.mine ?? { decision: "none", rating: null, edited: null };
  const verdict = row.kept ? "kept by the filters" : `rejected: ${row.reason}${row.detail ? ` (${row.detail})` : ""}`;
  return [
    h("p", { className: "verdict" },
      h("span", { className: `state ${mine.decision}` }, WORDS[mine.decision]),
      mine.rating ? h("span", { className: "stars", "aria-label": `rated ${mine.rating} of 5` }, "★".repeat(mine.rating)) : null,
      h("span", { className: "soft" }, plain([verdict, row.pack, ...row.topics].filter(Boolean).join(" · ")))),
    part("Instruction", row.task.instruction),
    row.task.input ? part("Input", row.task.input) : null,
    part("Output", row.task.output),
    JSON.stringify(row.task) === JSON.stringify(row.original) ? null : h("details", {}, h("summary", {}, "Edited; as it was generated"),
      ["instruction", "input", "output"].filter((name) => row.original[name] !== row.task[name])
        .map((name) => part(name[0].toUpperCase() + name.slice(1), row.original[name], "h4"))),
    row.others.length ? h("section", {}, h("h3", {}, "Other reviewers"), h("ul", {}, row.others.map((word) =>
      h("li", {}, plain(`${word.by || "somebody"}: ${WORDS[word.decision]}${word.rating ? `, rated ${word.rating}` : ""}${word.edited ? ", edited" : ""}`))))) : null,
  ].filter(Boolean);
}

/** What the server knows of it beside. `go(n)` opens another candidate. */
export function behind(item, go) {
  return [
    item.findings.length ? h("section", { className: "findings" }, h("h3", {}, "What the lint says of its code"),
      h("ul", {}, item.findings.map((found) => h("li", { className: found.level }, plain(`${found.level}: ${found.message}`))))) : null,
    item.printed ? h("section", {}, h("h3", {}, "What its programs printed"), h("pre", { className: "log", tabIndex: 0 }, plain(item.printed))) : null,
    tasks("Nearest", item.neighbours, go),
    tasks("Parents", item.parents, go),
    item.prompt ? h("details", {}, h("summary", {}, "Prompt and reply"),
      item.prompt.messages.map((message) => part(message.role, message.content, "h4")),
      part("reply", item.prompt.reply, "h4")) : null,
    Object.keys(item.facts).length ? h("details", {}, h("summary", {}, "Facts"), h("dl", { className: "facts" },
      Object.entries(item.facts).map(([name, value]) => h("div", {}, h("dt", {}, name),
        h("dd", {}, plain(typeof value === "string" ? value : JSON.stringify(value))))))) : null,
    h("details", {}, h("summary", {}, "On the command line"), h("dl", { className: "facts" },
      Object.entries(item.commands).map(([name, line]) => h("div", {}, h("dt", {}, name), h("dd", {}, command(line)))))),
  ].filter(Boolean);
}

function part(title, text, level = "h3") {
  return h("section", { className: "part" }, h(level, {}, title), highlight(text));
}

function tasks(title, found, go) {
  if (!found.length) return null;
  return h("details", {}, h("summary", {}, `${title} (${found.length})`), h("ol", { className: "tasks" }, found.map((task) => {
    const near = task.similarity === undefined ? "" : `${task.similarity.toFixed(2)} · `;
    if (task.kind === "unknown") return h("li", { className: "soft" }, `${near}${task.id}, not in these files`);
    const jump = task.kind === "candidate" ? h("button", { type: "button", className: "plain" }, "open") : null;
    jump?.addEventListener("click", () => go(task.n));
    return h("li", {}, h("span", { className: "soft" }, `${near}${task.kind === "seed" ? "seed task" : "candidate"}${task.topic ? ` · ${task.topic}` : ""} `),
      jump, part("Instruction", task.instruction, "h4"), task.input ? part("Input", task.input, "h4") : null, part("Output", task.output, "h4"));
  })));
}
