// One run: its state, the buttons that go on with it and stop it, and what it says.

import { get, post } from "./api.js";
import { byId, command, duration, h, poll, say } from "./dom.js";

const box = byId("summary"), log = byId("log");
const path = `/api/runs/${box.dataset.run}`;
let drawn = "", read = 0, looks = 0;

async function refresh() {
  const look = (looks += 1);
  const [run, said] = await Promise.all([get(path), get(`${path}/log`, { at: read })]);
  // A button looks at once: what was asked for before it comes too late.
  if (look !== looks) return;
  draw(run);
  write(said);
}

function draw(run) {
  const text = JSON.stringify(run);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.dataset?.key;
  const lines = [
    run.state === "working"
      ? action("Stop", "stop", `${path}/stop`, {}, run.commands.stop, "It saves its work, as after Ctrl-C, and can go on later.")
      : action("Go on", "resume", "/api/start", { run: run.name }, run.commands.resume,
        "Stages that are done are skipped, but those whose config, data or decisions changed since."),
    run.commands.fault ? h("p", { className: "fault" }, run.commands.fault) : null,
  ];
  box.replaceChildren(
    h("p", {}, h("span", { className: `state ${run.state.replace(" ", "-")}` }, run.state),
      run.worker === "elsewhere" ? " It was started elsewhere; stop it there with Ctrl-C." : null),
    h("div", { className: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["stage", "state", "time"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, run.stages.map((stage) => h("tr", {}, h("th", { scope: "row" }, stage.name), h("td", {}, stage.state),
        h("td", {}, stage.seconds ? duration(stage.seconds) : "")))))),
    h("dl", { className: "numbers" }, [...run.numbers, ...(run.cost ? [["cost", run.cost]] : [])].map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    ...lines.filter(Boolean));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function action(label, key, where, body, line, hint) {
  if (!line) return null;
  const button = h("button", { type: "button", className: "main", data: { key } }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post(where, body);
      say(key === "stop" ? "Asked to stop; it saves its work first." : "Started.");
    } catch (problem) {
      say(problem.message, true);
    }
    drawn = "";
    refresh().catch(() => { button.disabled = false; });
  });
  return h("section", { className: "action" }, button, h("span", { className: "soft" }, hint), command(line));
}

function write(said) {
  if (said.cut || said.at < read) log.textContent = "";
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (said.text) log.append(said.text);
  read = said.at;
  log.hidden = !log.textContent;
  byId("log-none").hidden = !log.hidden;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

poll(refresh, 1500);
