// The list of candidates: a page of rows, and the cursor, which the browser owns and no answer of the server moves.

import { get } from "./api.js";
import { byId, h, number, plain, say } from "./dom.js";

const MARKS = { accept: "✓", reject: "✗", none: "" };

export class Rows {
  rows = [];
  cursor = 0;
  ahead = 0;
  total = 0;
  indexed = 1;
  #path;
  #query;
  #moved;
  #load = 0;

  /** `query()` gives the filters, `moved()` is called whenever another row is under the cursor. */
  constructor(path, query, moved) {
    this.#path = path;
    this.#query = query;
    this.#moved = moved;
    byId("rows").addEventListener("click", (event) => {
      const row = event.target.closest("li");
      if (row) this.put([...row.parentElement.children].indexOf(row));
    });
  }

  get current() {
    return this.rows[this.cursor];
  }

  /** Fetch a page; false if there is none there, or another was asked for since. */
  async load(place, atEnd = false) {
    const mine = ++this.#load;
    const found = await get(this.#path, { ...this.#query(), ...place });
    if (mine !== this.#load) return false;
    this.total = found.total;
    this.indexed = found.indexed;
    if (found.fault) say(found.fault, true);
    if (!found.rows.length && this.rows.length && Object.keys(place).length) {
      this.#drawPosition();
      return false;
    }
    this.rows = found.rows;
    this.ahead = found.ahead;
    this.#drawAll();
    this.put(atEnd ? this.rows.length - 1 : 0);
    return true;
  }

  after() { return this.load({ after: this.rows.at(-1)?.n ?? 0 }); }

  before(atEnd = true) { return this.load({ before: this.rows[0]?.n ?? 0 }, atEnd); }

  /** The row with this number, wherever it is; false if the filters hide it. */
  async find(n) {
    const at = this.rows.findIndex((row) => row.n === n);
    if (at >= 0) {
      this.put(at);
      return true;
    }
    await this.load({ after: n - 1 });
    return this.current?.n === n;
  }

  put(cursor) {
    const list = byId("rows");
    list.children[this.cursor]?.setAttribute("aria-selected", "false");
    this.cursor = Math.max(0, Math.min(cursor, this.rows.length - 1));
    const row = list.children[this.cursor];
    if (row) {
      row.setAttribute("aria-selected", "true");
      list.setAttribute("aria-activedescendant", row.id);
      reveal(list, row);
    }
    this.#drawPosition();
    this.#moved();
  }

  /** Draw the row again, and every other row of the same task. */
  redraw(id) {
    this.rows.forEach((row, at) => {
      if (row.id !== id) return;
      const drawn = draw(row);
      drawn.setAttribute("aria-selected", String(at === this.cursor));
      byId("rows").children[at].replaceWith(drawn);
    });
  }

  #drawAll() {
    byId("rows").replaceChildren(...this.rows.map(draw));
    this.cursor = 0;
  }

  #drawPosition() {
    const at = byId("at");
    at.value = this.rows.length ? this.ahead + this.cursor + 1 : 0;
    at.max = this.total;
    const reading = this.indexed < 1 ? `, ${Math.floor(this.indexed * 100)}% of the run read` : "";
    byId("position").textContent = `of ${number(this.total)}${reading}`;
    byId("previous-page").disabled = this.ahead === 0;
    byId("next-page").disabled = this.ahead + this.rows.length >= this.total;
  }
}

function draw(row) {
  const decision = row.mine?.decision ?? "none";
  const disputed = row.others.some((word) => word.decision !== "none" && decision !== "none" && word.decision !== decision);
  return h("li", { id: `row-${row.n}`, role: "option", className: decision, "aria-selected": "false" },
    h("span", { className: "mark", "aria-label": { accept: "accepted", reject: "rejected", none: "open" }[decision] }, MARKS[decision]),
    h("span", { className: "line" }, plain(row.task.instruction.slice(0, 160) || "(empty)")),
    h("span", { className: "tags soft" }, [
      row.kept ? "kept" : row.reason,
      row.similarity ? `similarity ${row.similarity.toFixed(2)}` : null,
      row.mine?.rating ? "★".repeat(row.mine.rating) : null,
      row.mine?.edited ? "edited" : null,
      disputed ? "disputed" : null,
    ].filter(Boolean).join(" · ")));
}

/** Scroll the list, and the list alone: the page stays where the reader put it. */
function reveal(list, row) {
  const top = row.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + row.offsetHeight - list.clientHeight;
}
