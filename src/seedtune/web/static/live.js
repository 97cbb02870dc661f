// A run while it works: its numbers within two seconds, drawn from what is new since the last look.

import { get } from "./api.js";
import { bars, lineChart, percent, short } from "./chart.js";
import { byId, duration, h, number, plain, poll } from "./dom.js";

const box = byId("live"), path = `/api/runs/${box.dataset.run}/live`;
const EVERY_MS = 1000;
const PACK = "eval_loss/";
const since = { at: 0, mark: "", seen: "" };
let metrics = [], broken = 0, epochs = null;

const acceptance = lineChart("Accepted of candidates", "candidates", percent);
const charts = [
  { ...lineChart("Loss", "steps"), lines: [["training", "loss"], ["held-out", "eval_loss"]] },
  { ...lineChart("Learning rate", "steps"), lines: [["learning rate", "learning_rate"]] },
  { ...lineChart("Useful tokens a second", "steps"), lines: [["tokens/s", "tokens_per_second"]] },
  { ...lineChart("GPU memory, GiB at most", "steps"), lines: [["GiB", "peak_gpu_gib"]] },
];
byId("acceptance").append(acceptance.element);
const packs = h("figure", { className: "chart", hidden: true });
byId("train-charts").append(...charts.map((chart) => chart.element), packs);

async function refresh() {
  for (;;) {
    const found = await get(path, since);
    take(found.metrics);
    if (found.now) show(found.now);
    since.seen = found.seen;
    if (!found.metrics.more) break;
  }
  showTraining();
  byId("nothing").hidden = !byId("generate").hidden || !byId("train").hidden;
}

function take(tail) {
  if (tail.fresh) [metrics, broken] = [[], 0];
  metrics.push(...tail.lines);
  broken += tail.broken;
  since.at = tail.at;
  since.mark = tail.mark;
}

function show(now) {
  const worker = { studio: "", elsewhere: " It was started in a terminal.", "": "" }[now.worker];
  byId("state").replaceChildren(
    h("span", { className: `state ${now.state.replace(" ", "-")}` }, now.state), worker, " ",
    ...now.stages.map((stage) => h("span", { className: `stage ${stage.state.replace(" ", "-")}` },
      h("b", {}, stage.name), ` ${stage.state}${stage.seconds ? ` ${duration(stage.seconds)}` : ""} `)));
  epochs = now.epochs;
  showGeneration(now);
}

function showGeneration({ progress, funnel, acceptance: shares, cost, worker }) {
  byId("generate").hidden = funnel.candidates === undefined;
  if (byId("generate").hidden) return;
  const working = worker && progress.working;
  const goal = progress.goal ?? null;
  byId("accepted").hidden = goal === null;
  if (goal) byId("accepted").value = Math.min(1, funnel.accepted / goal);
  const projected = progress.projected_cost ?? null;
  numbers("generate-numbers", [
    ["accepted", goal === null ? number(funnel.accepted) : `${number(funnel.accepted)} of ${number(goal)}`],
    ["accept rate", funnel.candidates ? percent(funnel.accepted / funnel.candidates) : "-"],
    ["candidates", number(funnel.candidates)],
    ["requests", number(funnel.requests ?? 0)],
    ["cost", cost ? cost + (working && projected !== null ? `, about ${projected.toFixed(2)} in the end` : "") : "-"],
    ...(working ? [
      ["requests in flight", number(progress.in_flight ?? 0)],
      ["tokens/s", short(progress.tokens_per_s ?? 0)],
      ["time left", progress.seconds_left ? duration(progress.seconds_left) : "-"],
    ] : []),
  ]);
  const said = Object.entries(progress.endpoints ?? {}).filter(([, status]) => status);
  byId("endpoints").replaceChildren(...said.flatMap(([name, status]) => plain(`${name}: ${status}. `)));
  byId("funnel").replaceChildren(stages(funnel));
  acceptance.draw([{ name: "accepted", points: shares }]);
}

/** From requests to accepted instructions, and what the others were rejected for. */
function stages(funnel) {
  const count = (found) => Object.values(found ?? {}).reduce((sum, one) => sum + one, 0);
  const row = (name, value, kind) => ({ name: h("span", {}, plain(name)), count: value, kind });
  const reasons = Object.entries(funnel.rejected ?? {}).map(([reason, value]) => row(reason.replaceAll("_", " "), value, "bad"));
  const failed = count(funnel.failed_requests), unread = count(funnel.broken_tasks);
  return h("div", {},
    bars("Candidates, and what became of them", [
      row("candidates", funnel.candidates, ""),
      ...reasons,
      ...(funnel.undecided ? [row("not decided yet", funnel.undecided, "")] : []),
      row("accepted", funnel.accepted, "good"),
    ], funnel.candidates),
    failed || unread ? h("p", { className: "soft" },
      `Before them: ${number(failed)} of ${number(funnel.requests)} requests failed, ${number(unread)} tasks in replies could not be read.`) : null);
}

function showTraining() {
  byId("train").hidden = !metrics.length;
  if (!metrics.length) return;
  const latest = (key) => metrics.findLast((line) => typeof line[key] === "number")?.[key];
  const shown = (key) => (latest(key) === undefined ? "-" : short(latest(key)));
  const last = metrics.at(-1);
  byId("epochs").hidden = epochs === null;
  if (epochs) byId("epochs").value = Math.min(1, last.epoch / epochs);
  numbers("train-numbers", [
    ["step", number(last.step)],
    ["epoch", epochs === null ? short(last.epoch) : `${last.epoch.toFixed(2)} of ${short(epochs)}`],
    ["loss", shown("loss")],
    ["held-out loss", shown("eval_loss")],
    ["learning rate", shown("learning_rate")],
    ["useful tokens/s", shown("tokens_per_second")],
    ["GPU memory, GiB", shown("peak_gpu_gib")],
    ...(broken ? [["lines that cannot be read", number(broken)]] : []),
  ]);
  for (const chart of charts) {
    chart.draw(chart.lines.map(([name, key]) => ({
      name, points: metrics.filter((line) => key in line).map((line) => [line.step, line[key]]),
    })));
  }
  showPacks();
}

/** A table: of so many lines, none could be told from the others. */
function showPacks() {
  const measured = metrics.filter((line) => typeof line.eval_loss === "number");
  const names = [...new Set(measured.flatMap(Object.keys))].filter((key) => key.startsWith(PACK));
  packs.hidden = !names.length;
  if (packs.hidden) return;
  const ends = [...new Set([measured[0], measured.at(-1)])];
  const head = ["pack", ...ends.map((line) => `step ${number(line.step)}`)];
  const cells = (key) => ends.map((line) => h("td", { className: "count" }, typeof line[key] === "number" ? short(line[key]) : "-"));
  packs.replaceChildren(h("table", { className: "bars" },
    h("caption", {}, "Held-out loss of each pack"),
    h("thead", {}, h("tr", {}, head.map((name, place) => h("th", { scope: "col", className: place ? "count" : "" }, name)))),
    h("tbody", {}, names.map((key) => h("tr", {}, h("th", { scope: "row" }, plain(key.slice(PACK.length))), cells(key))))));
}

function numbers(id, rows) {
  byId(id).replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

poll(refresh, EVERY_MS);
