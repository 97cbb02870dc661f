// The list of runs, and the form that starts one.

import { get, post } from "./api.js";
import { byId, command, duration, h, poll, say } from "./dom.js";

let drawn = "";

async function refresh() {
  const found = await get("/api/runs");
  const text = JSON.stringify(found);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.dataset?.key;
  byId("runs").replaceChildren(found.runs.length ? h("ul", { className: "runs" }, found.runs.map(card)) : empty(found.configs));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  offer(found.configs);
}

function card(run) {
  const stages = run.stages.map((stage) =>
    h("li", { className: `stage ${stage.state.replace(" ", "-")}` }, h("b", {}, stage.name), ` ${stage.state}`,
      stage.seconds ? h("span", { className: "soft" }, ` ${duration(stage.seconds)}`) : null));
  const numbers = [...run.numbers, ...(run.cost ? [["cost", run.cost]] : [])];
  return h("li", { className: "card run" },
    h("h2", {}, h("a", { href: `/runs/${run.name}`, data: { key: run.name } }, run.name), " ",
      h("span", { className: `state ${run.state.replace(" ", "-")}` }, run.state)),
    h("ul", { className: "stages" }, stages),
    numbers.length ? h("dl", { className: "numbers" }, numbers.map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
    h("p", { className: "links" }, h("a", { href: `/runs/${run.name}/data`, data: { key: `${run.name}/data` } }, "Review its data")));
}

function empty(configs) {
  const first = configs[0] ?? "config.yaml";
  return h("div", { className: "card empty" },
    h("p", {}, "No run yet. ", configs.length ? "Start one below, or in a terminal:" : "Start one in a terminal:"),
    command(`seedtune run ${first}`));
}

function offer(configs) {
  const form = byId("start-form");
  byId("start").hidden = !configs.length;
  const chosen = form.config.value;
  form.config.replaceChildren(...configs.map((path) => h("option", { value: path }, path)));
  if (configs.includes(chosen)) form.config.value = chosen;
  preview();
}

const asked = () => {
  const form = byId("start-form");
  return { config: form.config.value, run: form.run.value.trim(), verb: form.verb.value };
};

async function preview() {
  const box = byId("start-command"), form = byId("start-form");
  if (!form.config.value || !form.checkValidity()) return;
  // An answer may come after the one to a later question.
  const what = asked(), late = () => JSON.stringify(what) !== JSON.stringify(asked());
  try {
    const found = await post("/api/start/preview", what);
    if (late() || box.dataset.shown === found.command) return;
    box.dataset.shown = found.command;
    box.replaceChildren(command(found.command));
  } catch (problem) {
    if (late()) return;
    box.dataset.shown = "";
    box.replaceChildren(h("p", { className: "fault" }, problem.message));
  }
}

byId("start-form").addEventListener("input", preview);
byId("start-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const started = await post("/api/start", asked());
    location.assign(`/runs/${started.run}`);
  } catch (problem) {
    say(problem.message, true);
  }
});

poll(refresh, 2000);
