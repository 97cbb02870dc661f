// The review page: keys, decisions, undo.
//
// Keys are taken one after the other, each when the one before it has ended: a key that comes while a page turns waits
// and then means the row that is there by then. A page turns only when everything that was decided is on the disk.

import { get, post } from "./api.js";
import { byId, h, say } from "./dom.js";
import { edit } from "./editor.js";
import { clearFilters, fillFilters, readFilters, watchFilters } from "./filters.js";
import { behind, face } from "./item.js";
import { watchRepairs } from "./repair.js";
import { Rows } from "./rows.js";
import { Saver } from "./saver.js";

const run = byId("filters").dataset.run;
const path = `/api/runs/${encodeURIComponent(run)}`;
const EMPTY = { decision: "none", rating: null, edited: null };
const LOOK_MS = 80, COUNT_MS = 1500;

const by = byId("by");
by.value = localStorage.getItem("seedtune-reviewer") || document.querySelector('meta[name="reviewer"]').content || "reviewer";
const name = () => by.value.trim() || "reviewer";

const saver = new Saver(`${path}/words`, takeBack);
const rows = new Rows(`${path}/items`, () => ({ ...readFilters(), by: name() }), show);
const undone = [];

// ---- the item ----

let looking = new AbortController(), timer = 0;

function show() {
  looking.abort();
  clearTimeout(timer);
  const row = rows.current, item = byId("item");
  if (!row) {
    item.replaceChildren(nothing());
    return;
  }
  const rest = h("div", { className: "behind", "aria-live": "off" });
  item.replaceChildren(...face(row), rest);
  item.scrollTop = 0;
  looking = new AbortController();
  const { signal } = looking;
  // While keys fly past a row, nothing is asked about it.
  timer = setTimeout(async () => {
    try {
      rest.replaceChildren(...behind(await get(`${path}/items/${row.n}`, { by: name() }, signal), (n) => queue(() => open(n))));
    } catch (problem) {
      if (problem.name !== "AbortError") rest.replaceChildren(h("p", { className: "fault" }, problem.message));
    }
  }, LOOK_MS);
}

function nothing() {
  const filtered = Object.values(readFilters()).some(Boolean);
  return h("div", { className: "empty" }, h("p", {}, filtered
    ? "No candidate fits these filters. Clear them to see all."
    : "Nothing is generated yet. Start the run on its first page; candidates appear here while it works."));
}

// ---- what keys do ----

/** Change one's own word on the row under the cursor. */
function change(difference) {
  const row = rows.current;
  if (!row) return;
  const before = row.mine, word = { ...(before ?? EMPTY), ...difference };
  const { decision, rating, edited } = word;
  if (before && before.decision === decision && before.rating === rating && before.edited === edited) return;
  undone.push({ n: row.n, id: row.id, before });
  put(row.id, { decision, rating, edited });
}

function put(id, word) {
  mark(id, word);
  saver.put(name(), { id, ...word });
  countLater();
}

/** A row says again what it said before a word that cannot be saved. */
function takeBack({ id }) {
  const at = undone.findLastIndex((done) => done.id === id);
  if (at < 0) return;
  mark(id, undone.splice(at, 1)[0].before);
  show();
}

function mark(id, word) {
  for (const row of rows.rows) {
    if (row.id !== id) continue;
    row.mine = word;
    row.task = word?.edited ?? row.others.findLast((other) => other.edited)?.edited ?? row.original;
  }
  rows.redraw(id);
}

async function move(step) {
  const cursor = rows.cursor + step;
  if (cursor >= 0 && cursor < rows.rows.length) {
    rows.put(cursor);
    return;
  }
  await turn(step);
}

async function turn(step) {
  await saver.idle();
  const turned = step > 0 ? await rows.after() : rows.ahead > 0 && (await rows.before());
  if (!turned) {
    say(step > 0 ? "This was the last row of these filters." : "This is the first row.");
    show();
  }
}

async function undo() {
  await saver.idle();
  const last = undone.pop();
  if (!last) {
    say("Nothing to undo.");
    return;
  }
  if (last.batch) {
    const found = await post(`${path}/repair/undo`, { by: last.by, batch: last.batch });
    say(`Repair undone in ${found.count}` + (found.changed_since ? `; ${found.changed_since} were changed since and stay` : ""));
    await reload();
    return;
  }
  put(last.id, last.before ?? EMPTY);
  // What the filters show follows from what is saved.
  await saver.idle();
  if (!(await rows.find(last.n))) say("Undone; the filters hide this row.");
  else show();
}

async function open(n) {
  await saver.idle();
  if (await rows.find(n)) return;
  clearFilters();
  await rows.find(n);
}

async function editRow() {
  const row = rows.current;
  if (!row) return;
  const edited = await edit(row.task);
  if (!edited) return;
  const same = ["instruction", "input", "output"].every((part) => edited[part] === row.original[part]);
  change({ edited: same ? null : edited, decision: "accept" });
  show();
}

async function decide(difference) {
  change(difference);
  await move(1);
}

const ACTS = {
  a: () => decide({ decision: "accept" }),
  x: () => decide({ decision: "reject" }),
  e: editRow,
  u: undo,
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  "/": () => byId("filters").text.focus(),
  "?": () => byId("help").showModal(),
};
for (const rating of [1, 2, 3, 4, 5]) ACTS[rating] = () => { change({ rating }); show(); };

let work = Promise.resolve(), series = 0;

/** Do something after all that was asked for before. After a fault, what was asked for behind it is dropped. */
function queue(act) {
  const mine = series;
  work = work.then(async () => {
    if (mine !== series) return;
    try {
      await act();
    } catch (problem) {
      series += 1;
      say(problem.message, true);
    }
  });
  return work;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const field = event.target.closest?.("input, textarea, select");
  if (field) {
    if (field.tagName === "INPUT" && ["Enter", "Escape"].includes(event.key)) {
      event.preventDefault();
      byId("rows").focus();
    }
    return;
  }
  if (!Object.hasOwn(ACTS, event.key)) return;
  event.preventDefault();
  queue(ACTS[event.key]);
});

// ---- the rest of the page ----

async function reload() {
  await rows.load({});
  facets();
  if (rows.indexed < 1) setTimeout(() => queue(follow), 500);
}

/** While the run is read for the first time, the count grows. */
async function follow() {
  if (rows.rows.length === 0) await rows.load({});
  else {
    const found = await get(`${path}/items`, { ...readFilters(), by: name(), after: rows.rows.at(-1).n });
    Object.assign(rows, { total: found.total, indexed: found.indexed });
    rows.put(rows.cursor);
  }
  if (rows.indexed < 1) setTimeout(() => queue(follow), 500);
  else facets();
}

let asked = 0, counting = 0;

/** Counts and agreement follow when the keys have come to rest. */
function countLater() {
  clearTimeout(counting);
  // A list that somebody is choosing from stays as it is.
  counting = setTimeout(() => (byId("filters").contains(document.activeElement) ? countLater() : facets()), COUNT_MS);
}

/** Beside the rows: no key waits for it. */
async function facets() {
  const mine = (asked += 1);
  const found = await get(`${path}/facets`).catch((problem) => say(problem.message, true));
  if (!found || mine !== asked) return;
  fillFilters(found.facets);
  byId("agreement").textContent = found.agreement.map((pair) => {
    const kappa = pair.kappa === null ? "kappa not defined" : `kappa ${pair.kappa.toFixed(2)}`;
    return `${pair.first} and ${pair.second} agree on ${pair.same} of ${pair.n}, ${kappa}`;
  }).join("; ");
}

watchFilters(() => queue(async () => {
  await saver.idle();
  await reload();
}));
watchRepairs(path, name, readFilters, {
  before: () => saver.idle(),
  after: (done) => {
    undone.push({ batch: done.batch, by: done.by });
    queue(reload);
  },
});
by.addEventListener("change", () => {
  localStorage.setItem("seedtune-reviewer", name());
  queue(async () => {
    await saver.idle();
    undone.length = 0;
    await rows.load({ skip: rows.ahead });
  });
});
byId("previous-page").addEventListener("click", () => queue(async () => {
  await saver.idle();
  await rows.before(false);
}));
byId("next-page").addEventListener("click", () => queue(() => turn(1)));
byId("at").addEventListener("change", () => queue(async () => {
  await saver.idle();
  await rows.load({ skip: Math.max(0, Math.min(rows.total, byId("at").valueAsNumber || 1) - 1) });
  byId("rows").focus();
}));
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("accept").addEventListener("click", () => queue(ACTS.a));
byId("reject").addEventListener("click", () => queue(ACTS.x));
byId("edit").addEventListener("click", () => queue(ACTS.e));
byId("undo").addEventListener("click", () => queue(ACTS.u));

fillFilters(null);
queue(reload).then(() => byId("rows").focus());
