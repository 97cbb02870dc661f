// A run while it works: its numbers within two seconds, drawn from what is new since the last look.

import { get } from "./api.js";
import { bars, lineChart, percent, short } from "./chart.js";
import { byId, duration, h, number, plain, poll, say } from "./dom.js";

const box = byId("live"), path = `/api/runs/${box.dataset.run}/live`;
const EVERY_MS = 1000;
const since = { at: 0, mark: "", seen: "" };
let metrics = [], broken = 0, epochs = null, failed = false;

const acceptance = lineChart("Accepted of candidates", "candidates", percent);
const charts = [
  { ...lineChart("Loss", "steps"), lines: [["training", "loss"], ["held-out", "eval_loss"]] },
  { ...lineChart("Learning rate", "steps"), lines: [["learning rate", "learning_rate"]] },
  { ...lineChart("Useful tokens a second", "steps"), lines: [["tokens/s", "tokens_per_second"]] },
  { ...lineChart("GPU memory, GiB at most", "steps"), lines: [["GiB", "peak_gpu_gib"]] },
];
byId("acceptance").append(acceptance.element);
byId("train-charts").append(...charts.map((chart) => chart.element));

async function refresh() {
  try {
    for (;;) {
      const found = await get(path, since);
      take(found.metrics);
      if (found.now) show(found.now);
      since.seen = found.seen;
      if (!found.metrics.more) break;
    }
    showTraining();
    byId("nothing").hidden = !byId("generate").hidden || !byId("train").hidden;
    if (failed) say("");
    failed = false;
  } catch (problem) {
    failed = true;
    say(problem.message, true);
  }
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
    ["requests in flight", working ? number(progress.in_flight ?? 0) : "-"],
    ["tokens/s", working ? short(progress.tokens_per_s ?? 0) : "-"],
    ["time left", working && progress.seconds_left ? duration(progress.seconds_left) : "-"],
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
  const packs = [...new Set(metrics.flatMap((line) => Object.keys(line).filter((key) => key.startsWith("eval_loss/"))))];
  const parts = packs.map((key) => [`held-out, ${key.slice("eval_loss/".length)}`, key]);
  for (const [place, chart] of charts.entries()) {
    chart.draw([...chart.lines, ...(place === 0 ? parts : [])].map(([name, key]) => ({
      name, points: metrics.filter((line) => key in line).map((line) => [line.step, line[key]]),
    })));
  }
}

function numbers(id, rows) {
  byId(id).replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

poll(refresh, EVERY_MS);
