// One repair of all rows that share a fault, looked at before it is made.

import { post } from "./api.js";
import { byId, command, h, number, plain, say } from "./dom.js";

/** `edge.before()` ends what is under way, `edge.after({batch, by})` follows a repair that was made. */
export function watchRepairs(path, name, filters, edge) {
  const dialog = byId("repair"), form = byId("repair-form"), shown = byId("repair-preview"), apply = byId("repair-apply");
  let looked = null;

  const asked = () => ({
    by: name(),
    repair: {
      kind: form.kind.value,
      ...(form.part.value ? { parts: [form.part.value] } : {}),
      ...(form.kind.value === "replace" ? { find: form.find.value, put: form.put.value } : {}),
    },
    filters: filters(),
  });
  const forget = () => {
    looked = null;
    apply.disabled = true;
    shown.replaceChildren();
    for (const field of form.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== form.kind.value;
  };
  const attempt = (work) => async () => {
    try {
      await work();
    } catch (problem) {
      shown.replaceChildren(h("p", { className: "fault" }, problem.message));
    }
  };
  const look = attempt(async () => {
    await edge.before();
    const what = asked(), found = await post(`${path}/repair/preview`, what);
    // It may have been changed while this was looked at.
    if (JSON.stringify(what) !== JSON.stringify(asked())) return;
    looked = found.count ? { ...what, expected: found.count } : null;
    apply.disabled = !looked;
    shown.replaceChildren(h("p", {}, found.count ? `${number(found.count)} rows would change` : "No row of these filters has this fault."),
      ...(found.count ? [command(found.command)] : []), ...found.samples.map(sample));
  });

  byId("repair-open").addEventListener("click", () => {
    forget();
    dialog.showModal();
  });
  byId("repair-close").addEventListener("click", () => dialog.close());
  byId("repair-look").addEventListener("click", look);
  form.addEventListener("input", forget);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  apply.addEventListener("click", attempt(async () => {
    if (!looked) return;
    apply.disabled = true;
    const done = await post(`${path}/repair`, looked);
    dialog.close();
    say(`${number(done.count)} rows repaired; u undoes it.`);
    edge.after({ batch: done.batch, by: looked.by });
  }));
}

function sample({ before, after }) {
  return h("div", { className: "change" }, Object.keys(before).filter((part) => before[part] !== after[part]).map((part) =>
    h("div", {}, h("b", {}, part), h("pre", { className: "removed" }, visible(around(before[part], after[part]))),
      h("pre", { className: "added" }, visible(around(after[part], before[part]))))));
}

/** The part of a text that another does not share, with some of what stands around it. */
function around(text, other, margin = 60) {
  let start = 0, end = 0;
  while (start < text.length && text[start] === other[start]) start += 1;
  while (end < Math.min(text.length, other.length) - start && text.at(-1 - end) === other.at(-1 - end)) end += 1;
  const from = Math.max(0, start - margin), to = Math.min(text.length, text.length - end + margin);
  return `${from ? "…" : ""}${text.slice(from, Math.min(to, from + 600))}${to < text.length ? "…" : ""}`;
}

/** White space at the end of a line is what such repairs are about: it must be seen. */
function visible(text) {
  return plain(text.replace(/[ \t]+$/gmu, (space) => "·".repeat(space.length)));
}
