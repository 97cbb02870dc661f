// What an evaluation found: intervals, and items with the answers of two models beside each other.

import { get } from "./api.js";
import { forest } from "./chart.js";
import { byId, command, h, number, plain, say } from "./dom.js";
import { highlight } from "./highlight.js";

const box = byId("evaluation"), path = `/api/runs/${box.dataset.run}/evaluation`;
const filters = byId("filters"), grouping = byId("grouping");
const NAMES = ["left", "right", "verdict", "job", "topic", "level"];
let models = {}, kinds = {}, skip = 0, latest = null;

async function begin() {
  const found = await get(path);
  byId("found").hidden = !found.models;
  byId("none").hidden = !byId("found").hidden;
  if (!found.models) {
    byId("none").replaceChildren(h("div", { className: "card empty" },
      h("p", {}, "Nothing is evaluated yet. Start it on the page ", h("a", { href: `/runs/${box.dataset.run}` }, "Run"), ", or in a terminal:"),
      command(`seedtune evaluate ${box.dataset.config}`)));
    return;
  }
  models = found.models;
  kinds = Object.fromEntries(Object.keys(models).map((name, place) => [name, `model-${Math.min(place, 5)}`]));
  showSuites(found);
  showPairs(found);
  byId("groups-section").hidden = byId("items-section").hidden = !found.jobs.length;
  if (!found.jobs.length) return;
  offer(found);
  await Promise.all([showGroups(), showItems()]);
}

const rows = (found) => Object.entries(found).map(([name, result]) => ({ name, kind: kinds[name], ...result }));
const whole = (suite) => Object.values(suite.models).every((result) => result.interval);

function showSuites(found) {
  byId("about").replaceChildren(
    h("dl", { className: "numbers" }, Object.entries(models).map(([name, title]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, plain(title))))),
    found.split === "dev" ? h("p", { className: "soft" }, "Asked on dev: numbers to choose by, not to publish.") : "");
  const groups = found.suites.filter(whole).map((suite) => ({ ...suite, rows: rows(suite.models) }));
  byId("suites").replaceChildren(forest("Share of right answers by suite; the dashed line is chance", groups));
  const said = found.suites.flatMap((suite) => Object.entries(suite.verdicts).map(([model, verdict]) =>
    h("li", {}, h("b", {}, model === "tuned" ? suite.name : `${suite.name}, ${model}`), " ", plain(verdict))));
  if (found.forgetting) said.push(h("li", {}, h("b", {}, "general abilities"), " ", plain(found.forgetting)));
  byId("verdicts").replaceChildren(...said);
  byId("caveats").hidden = !found.caveats.length;
  byId("caveats").querySelector("summary").textContent = `Caveats (${found.caveats.length})`;
  byId("caveats").querySelector("ul").replaceChildren(...found.caveats.map((caveat) => h("li", {}, plain(String(caveat)))));
}

function offer(found) {
  const fill = (select, values, all) => select.replaceChildren(
    ...(all === undefined ? [] : [h("option", { value: "" }, all)]),
    ...values.map((value) => h("option", { value: Array.isArray(value) ? value[0] : value }, Array.isArray(value) ? value[1] : value)));
  const names = Object.keys(models);
  fill(grouping.job, found.jobs, "all of the domain");
  fill(filters.left, names);
  fill(filters.right, names);
  fill(filters.job, found.jobs, "all");
  fill(filters.topic, found.topics, "all");
  fill(filters.level, found.levels, "all");
  filters.verdict.replaceChildren(...["differ", "left", "right", "both", "neither", "all"].map((value) => h("option", { value })));
  const asked = new URLSearchParams(location.search);
  const ready = { left: names[0], right: names[1] ?? names[0], verdict: names.length > 1 ? "differ" : "all" };
  for (const name of NAMES) {
    filters[name].value = asked.get(name) ?? ready[name] ?? "";
    // An address may name what this run does not have.
    if (filters[name].selectedIndex < 0) filters[name].value = ready[name] ?? "";
  }
  nameVerdicts();
}

function nameVerdicts() {
  const { left, right } = filters;
  const words = { all: "any", differ: "one of them is right", left: `only ${left.value} is right`, right: `only ${right.value} is right`,
    both: "both are right", neither: "both are wrong" };
  for (const option of filters.verdict.options) option.textContent = words[option.value];
}

async function showGroups() {
  const job = grouping.job.value, by = grouping.by.value, found = await get(`${path}/groups`, { job, by });
  if (job !== grouping.job.value || by !== grouping.by.value) return; // a later question's answer may be there
  const groups = found.map((group) => ({ ...group, name: plain(group.name), rows: rows(group.models) }));
  byId("groups").replaceChildren(forest(`Share of right answers by ${by}`, groups));
}

async function showItems() {
  latest?.abort();
  latest = new AbortController();
  const asked = Object.fromEntries(NAMES.map((name) => [name, filters[name].value]));
  history.replaceState(null, "", `?${new URLSearchParams(Object.entries(asked).filter(([, value]) => value))}`);
  const found = await get(`${path}/items`, { ...asked, skip }, latest.signal);
  byId("items").start = found.skip + 1;
  byId("items").replaceChildren(...found.items.map((item) => card(item, asked)));
  pager(found);
}

function pager({ total, skip: from, page }) {
  const turn = (to, sign, label) => {
    const button = h("button", { type: "button", className: "plain", "aria-label": label, disabled: to < 0 || to >= total }, sign);
    button.addEventListener("click", () => { skip = to; work(showItems); });
    return button;
  };
  byId("pager").replaceChildren(
    turn(from - page, "‹", "Page before"),
    h("span", { role: "status" }, total ? `${number(from + 1)} to ${number(Math.min(from + page, total))} of ${number(total)}` : "No item is like this."),
    turn(from + page, "›", "Next page"));
}

/** An item, with the answers of the two chosen models beside each other. */
function card(item, asked) {
  const about = [`${item.suite}/${item.method}`, item.topic, item.level === undefined ? "" : `level ${item.level}`, item.citation];
  const sides = [...new Set([asked.left, asked.right])].filter((name) => item.answers[name]);
  return h("li", { className: "pair card" },
    h("p", { className: "soft" }, plain(about.filter(Boolean).join(" · ")),
      item.contaminated ? h("span", { className: "fault" }, " · stands in the training rows") : null),
    h("div", { className: "question" }, highlight(item.question ?? "")),
    item.options?.length ? h("ul", { className: "options" }, item.options.map((option) =>
      h("li", { className: item.right.includes(option) ? "good" : "" }, plain(String(option)), item.right.includes(option) ? " ✓" : ""))) : right(item.right ?? []),
    h("div", { className: "sides" }, sides.map((name) => side(name, item.answers[name]))));
}

function right(answers) {
  if (!answers.length) return null;
  const text = answers.join(answers.some((answer) => answer.includes("\n")) ? "\n\n" : " · ");
  const shown = text.includes("\n") ? h("pre", { className: "code", tabIndex: 0 }, plain(text)) : h("div", { className: "prose" }, plain(text));
  return h("details", { open: text.length < 200 }, h("summary", {}, "Right answer"), shown);
}

function side(name, answer) {
  const mark = answer.correct ? h("b", { className: "good" }, "right") : h("b", { className: "bad" }, "wrong");
  const extracted = answer.extracted && answer.extracted !== answer.text ? `read as: ${answer.extracted}` : "";
  const notes = [extracted, answer.why, answer.parsed === false ? "no answer could be read" : "", answer.error ? `error: ${answer.error}` : ""];
  return h("section", { className: "side", "aria-label": `Answer of ${name}` },
    h("h3", {}, h("span", { className: `key ${kinds[name]}` }, name), " ", mark),
    notes.filter(Boolean).map((note) => h("p", { className: "soft" }, plain(note))),
    answer.text ? highlight(answer.text) : null,
    answer.code ? code(answer.code) : null,
    likelihoods(answer.likelihoods));
}

/** What the lint and the sandbox said of a program. */
function code(found) {
  const lint = found.lint ?? [], cases = found.cases ?? [];
  const said = (finding) => (typeof finding === "string" ? finding : `${finding.level ?? ""}: ${finding.message ?? ""}`);
  const printed = (title, text) => (text ? [h("h4", {}, title), h("pre", { className: "log", tabIndex: 0 }, plain(text))] : []);
  return h("details", { open: found.verdict !== "pass" },
    h("summary", {}, `Program: ${found.verdict.replaceAll("_", " ")}`),
    lint.length ? h("div", { className: "findings" }, h("h4", {}, "Lint"), h("ul", {}, lint.map((finding) => h("li", {}, plain(said(finding)))))) : null,
    cases.map((one, place) => h("div", {},
      h("p", {}, `case ${place + 1}${one.held_out ? " (held out)" : ""}: `, h("b", { className: one.verdict === "pass" ? "good" : "bad" }, one.verdict.replaceAll("_", " ")), " ", plain(one.why ?? "")),
      printed("Output", one.stdout), printed("Errors", one.stderr))));
}

function likelihoods(found) {
  const entries = Object.entries(found ?? {});
  if (!entries.length) return null;
  return h("details", {}, h("summary", {}, "Log-likelihoods"), h("table", {}, h("tbody", {}, entries.map(([option, value]) =>
    h("tr", {}, h("th", { scope: "row" }, plain(option)), h("td", { className: "count" }, value === null ? "-" : value.toFixed(2)))))));
}

function showPairs(found) {
  byId("showcase-section").hidden = !found.showcase.length;
  byId("showcase").replaceChildren(...found.showcase.map((line) => h("li", { className: "pair card" },
    h("div", { className: "question" }, highlight(line.question)),
    h("div", { className: "sides" }, Object.entries(line.answers).map(([name, text]) =>
      h("section", { className: "side", "aria-label": `Answer of ${name}` }, h("h3", {}, h("span", { className: `key ${kinds[name] ?? ""}` }, name)), highlight(text)))))));
}

async function work(what) {
  try {
    await what();
  } catch (problem) {
    if (problem.name !== "AbortError") say(problem.message, true);
  }
}

filters.addEventListener("change", () => { skip = 0; nameVerdicts(); work(showItems); });
grouping.addEventListener("change", () => work(showGroups));
for (const form of [filters, grouping]) form.addEventListener("submit", (event) => event.preventDefault());
work(begin);
