// Charts as SVG of our own. Each has its numbers as a table beside it, or is a table with a picture in a column.

import { h } from "./dom.js";

const WIDTH = 480, HEIGHT = 200, LEFT = 56, RIGHT = 14, TOP = 12, BOTTOM = 26;
const POINTS = 600, TABLE_ROWS = 60;

/** An SVG element. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number in few digits. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  return size < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

export const percent = (share) => `${(100 * share).toFixed(1)}%`;

/**
 * Lines over steps; `draw` may be called again with more.
 * `series` are `{name, points: [[x, y], ...]}` with rising x; a y of null is a gap.
 */
export function lineChart(title, x, format = short) {
  const picture = h("div", { className: "plot" }), legend = h("figcaption", {});
  const rows = h("div", { className: "scroll" });
  const table = h("details", {}, h("summary", {}, "As a table"), rows);
  const element = h("figure", { className: "chart" }, legend, picture, table);
  let shown = [], drawn = "";
  const fill = () => table.open && rows.replaceChildren(asTable(title, x, shown, format));
  table.addEventListener("toggle", fill);
  const draw = (series) => {
    shown = series.filter((line) => line.points.some(([, y]) => y !== null));
    const state = shown.map((line) => `${line.name} ${line.points.length} ${line.points.at(-1)}`).join("|");
    if (state === drawn) return;
    drawn = state;
    element.hidden = !shown.length;
    legend.replaceChildren(h("b", {}, title), ...shown.map((line, number) =>
      h("span", { className: `key series-${number}` }, `${line.name} `, h("b", {}, format(last(line.points))))));
    picture.replaceChildren(...(shown.length ? [plot(title, x, shown, format)] : []));
    fill();
  };
  element.hidden = true;
  return { element, draw };
}

const last = (points) => points.findLast(([, y]) => y !== null)[1];

function plot(title, x, series, format) {
  const points = series.flatMap((line) => line.points).filter(([, y]) => y !== null);
  const right = Math.max(1, ...points.map(([at]) => at));
  const ticks = scale(Math.min(...points.map(([, y]) => y)), Math.max(...points.map(([, y]) => y)));
  const low = ticks[0], high = ticks.at(-1);
  const across = (at) => round(LEFT + (at / right) * (WIDTH - LEFT - RIGHT));
  const up = (y) => round(TOP + ((high - y) / (high - low)) * (HEIGHT - TOP - BOTTOM));
  const said = series.map((line) => `${line.name} ${format(last(line.points))}`).join(", ");
  return s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} over ${x}. Last: ${said}.` },
    s("title", {}, title),
    s("desc", {}, `${title} over ${x}, up to ${right}. Last: ${said}.`),
    ticks.map((y) => [
      s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: up(y), y2: up(y) }),
      s("text", { x: LEFT - 6, y: up(y) + 4, "text-anchor": "end" }, format(y)),
    ]),
    [0, Math.round(right / 2), right].map((at, number) =>
      s("text", { x: across(at), y: HEIGHT - 8, "text-anchor": ["start", "middle", "end"][number] },
        number === 2 ? `${short(at)} ${x}` : short(at))),
    series.map((line, number) => drawLine(thinned(line), number, across, up, format)));
}

function drawLine(line, number, across, up, format) {
  let path = "", pen = "M";
  for (const [at, y] of line.points) {
    if (y !== null) path += `${pen}${across(at)},${up(y)}`;
    pen = y === null ? "M" : "L";
  }
  const few = line.points.length <= 40 ? line.points.filter(([, y]) => y !== null) : [];
  return [
    s("path", { class: `line series-${number}`, d: path }),
    few.map(([at, y]) => s("circle", { class: `dot series-${number}`, cx: across(at), cy: up(y), r: 3 },
      s("title", {}, `${line.name}: ${format(y)} at ${short(at)}`))),
  ];
}

/** So many points that a screen can show them: of each part the lowest and the highest, so that no peak is lost. */
function thinned(line) {
  const { points } = line;
  if (points.length <= POINTS) return line;
  const kept = [], parts = POINTS / 2;
  for (let part = 0; part < parts; part += 1) {
    const group = points.slice(Math.floor((part * points.length) / parts), Math.floor(((part + 1) * points.length) / parts))
      .filter(([, y]) => y !== null);
    if (!group.length) continue;
    const ends = [group.reduce((a, b) => (b[1] < a[1] ? b : a)), group.reduce((a, b) => (b[1] > a[1] ? b : a))];
    kept.push(...ends.sort((a, b) => a[0] - b[0]));
  }
  return { ...line, points: kept };
}

function asTable(title, x, series, format) {
  const places = [...new Set(series.flatMap((line) => line.points.map(([at]) => at)))].sort((a, b) => a - b);
  const step = Math.ceil(places.length / TABLE_ROWS);
  const kept = places.filter((_, number) => number % step === 0 || number === places.length - 1);
  const values = series.map((line) => new Map(line.points));
  const cell = (y) => h("td", {}, y === undefined || y === null ? "" : format(y));
  return h("table", {},
    h("caption", {}, step > 1 ? `${title}: every ${step}th of ${places.length} rows` : title),
    h("thead", {}, h("tr", {}, [x, ...series.map((line) => line.name)].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, kept.map((at) => h("tr", {}, h("th", { scope: "row" }, short(at)), values.map((found) => cell(found.get(at)))))));
}

/** Round numbers, about five, around a range. */
function scale(lowest, highest) {
  // A line that does not move lies in the middle.
  const flat = highest === lowest ? Math.abs(highest) * 0.05 || 1 : 0;
  const low = lowest - flat, high = highest + flat, span = high - low;
  const magnitude = 10 ** Math.floor(Math.log10(span / 4));
  const step = magnitude * [1, 2, 5, 10].find((factor) => span / (magnitude * factor) <= 5);
  const ticks = [];
  for (let n = Math.floor(low / step); n <= Math.max(Math.ceil(high / step), Math.floor(low / step) + 1); n += 1)
    ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

const round = (value) => Math.round(value * 10) / 10;

/** Counts with bars. `rows` are `{name, count, note, kind}`; bars are shares of `whole`. */
export function bars(title, rows, whole) {
  return h("table", { className: "bars" },
    h("caption", {}, title),
    h("thead", { className: "hidden" }, h("tr", {}, ["", "count", "share", ""].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {},
      h("th", { scope: "row" }, row.name),
      h("td", { className: "count" }, row.count.toLocaleString("en-US")),
      h("td", { className: "count soft" }, row.note ?? (whole ? percent(row.count / whole) : "")),
      h("td", { className: "bar-cell", "aria-hidden": "true" },
        s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
          s("rect", { class: row.kind ?? "", x: 0, y: 0, height: 10, width: whole ? round((100 * row.count) / whole) : 0 })))))));
}

/**
 * Shares with intervals, a row each, on one scale from 0 to 100% (a forest plot).
 * `groups` are `{name, n, chance, rows: [{name, kind, accuracy, interval, correct, n}]}`.
 */
export function forest(title, groups) {
  const across = (share) => round(share * 300 + 10);
  const picture = (row, chance) => s("svg", { viewBox: "0 0 320 22", class: "interval", "aria-hidden": "true" },
    [0, 0.25, 0.5, 0.75, 1].map((share) => s("line", { class: "grid", x1: across(share), x2: across(share), y1: 0, y2: 22 })),
    chance ? s("line", { class: "chance", x1: across(chance), x2: across(chance), y1: 0, y2: 22 }) : null,
    s("line", { class: `range ${row.kind}`, x1: across(row.interval[0]), x2: across(row.interval[1]), y1: 11, y2: 11 }),
    s("circle", { class: `dot ${row.kind}`, cx: across(row.accuracy), cy: 11, r: 5 }));
  const head = (group) => h("tr", {}, h("th", { scope: "rowgroup", colSpan: 5 }, group.name, h("span", { className: "soft" }, ` n = ${group.n}`)));
  const line = (group, row) => h("tr", {},
    h("th", { scope: "row", className: "model" }, h("span", { className: `key ${row.kind}` }, row.name)),
    h("td", { className: "picture" }, picture(row, group.chance)),
    h("td", { className: "count" }, percent(row.accuracy)),
    h("td", { className: "count soft" }, `${percent(row.interval[0])} to ${percent(row.interval[1])}`),
    h("td", { className: "count soft" }, `${row.correct} of ${row.n}`));
  return h("div", { className: "scroll" }, h("table", { className: "forest" },
    h("caption", {}, title),
    h("thead", {}, h("tr", {}, ["model", "0 to 100%", "right", "95% interval", "items"].map((name, place) =>
      h("th", { scope: "col", className: place > 1 ? "count" : "" }, name)))),
    groups.map((group) => h("tbody", {}, head(group), group.rows.map((row) => line(group, row))))));
}
