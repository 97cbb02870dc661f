// Base and tuned model side by side: a question to both, their answers as they are written, a vote.

import { get, post, stream } from "./api.js";
import { byId, command, h, number, plain, quoted, say } from "./dom.js";
import { highlight } from "./highlight.js";

const box = byId("chat"), path = `/api/runs/${box.dataset.run}/chat`;
const form = byId("ask"), panes = byId("panes");
const CHOICES = [["left", "Left is better"], ["right", "Right is better"], ["both", "Both are good"], ["neither", "Neither is"]];
const LOADING_MS = 700, WATCHING_MS = 5000;
let conversation = null, beginning = Promise.resolve(), names = ["left", "right"], drawnTurns = 0, answering = false;
let drawn = "", files = null, watching = null, looks = 0;

// The models: off, loading, there.

async function watch() {
  clearTimeout(watching);
  const look = (looks += 1);
  let state = "";
  try {
    const found = await get(path);
    if (look !== looks) return;
    state = found.state;
    showModels(found);
  } catch (problem) {
    say(problem.message, true);
  }
  // What is not there does not change by itself.
  if (look !== looks || state === "off" || state === "ended") return;
  const again = () => { if (document.hidden) watching = setTimeout(again, WATCHING_MS); else watch(); };
  watching = setTimeout(again, state === "loading" ? LOADING_MS : WATCHING_MS);
}

function showModels(found) {
  const there = found.state === "ready" || found.state === "answering";
  const text = JSON.stringify([there || found.state, found.fault, found.pid]);
  if (text === drawn) return;
  drawn = text;
  byId("talk").hidden = !there;
  if (there) showReady(found);
  else if (found.state === "loading") byId("models").replaceChildren(
    h("p", {}, h("b", {}, "Loading the models…"), ` A process of its own holds them (${found.pid}); a large one takes minutes.`),
    button("Cancel", "plain", () => act("unload")));
  else showOff(found);
}

function showOff(found) {
  const ended = found.state === "ended" && !found.fault ? "The models have left memory, as nothing was asked for a while. " : "";
  byId("models").replaceChildren(
    found.fault ? h("p", { className: "fault said" }, plain(found.fault)) : h("p", {}, `${ended}Base and tuned model answer side by side once they are in memory.`),
    found.fault && found.state === "off" ? "" : button(found.state === "ended" ? "Load again" : "Load the models", "main", () => act("load")),
    command(box.dataset.command));
}

function showReady(found) {
  const { about } = found;
  byId("models").replaceChildren(
    h("dl", { className: "numbers" },
      [["base", about.base], ["device", about.device], ["adapter SHA-256", about.adapter_sha256],
        ["checked: logits differ by", `${about.difference.toPrecision(3)} at most`]].map(([name, value]) =>
        h("div", {}, h("dt", {}, name), h("dd", { className: "hash" }, plain(value))))),
    h("p", { className: "soft" }, `Process ${found.pid} `, button("Unload", "plain", () => act("unload"))));
  if (!form.system.dataset.filled) form.system.value = form.system.defaultValue = about.system;
  form.system.dataset.filled = "yes";
  showCommand();
}

/** The same conversation in a terminal: what differs from the defaults stands in its command line. */
function showCommand() {
  const by = byId("by").value.trim(), fields = [form.temperature, form.top_p, form.max_tokens, form.seed, form.system];
  const options = fields.filter((field) => field.value !== field.defaultValue)
    .map((field) => `--${field.name.replace("_", "-")} ${quoted(field.value)}`);
  if (byId("blind").checked) options.unshift("--blind");
  if (by && by !== document.querySelector('meta[name="reviewer"]').content) options.push(`--by ${quoted(by)}`);
  byId("command").replaceChildren(command([box.dataset.command, ...options].join(" ")));
}

function button(label, kind, work) {
  const made = h("button", { type: "button", className: kind }, label);
  made.addEventListener("click", work);
  return made;
}

async function act(what) {
  try {
    await post(`${path}/${what}`);
  } catch (problem) {
    say(problem.message, true);
  }
  await watch();
}

// A conversation.

async function begin() {
  conversation = null;
  const made = await post(`${path}/begin`, { system: form.system.value, blind: byId("blind").checked });
  conversation = made.conversation;
  for (const old of panes.querySelectorAll(".turn")) old.remove();
  byId("ready").hidden = false;
  byId("reveal").hidden = made.panes !== null;
  nameThem(made.panes);
}

/** One after the other: the one that was asked for last stays. */
function beginAnew() {
  beginning = beginning.then(begin).catch((problem) => say(problem.message, true));
}

function nameThem(sides) {
  names = sides ?? ["left", "right"];
  for (const name of panes.querySelectorAll(".pane-name")) name.textContent = names[name.dataset.pane];
}

async function ask() {
  const text = form.text.value.trim();
  if (!text || answering || !form.reportValidity()) return;
  const decoding = { temperature: form.temperature.valueAsNumber, top_p: form.top_p.valueAsNumber,
    max_tokens: form.max_tokens.valueAsNumber, seed: form.seed.valueAsNumber };
  let sides = [], question = null, turn = null, fault = "the answers did not come to their end; is the studio still running?";
  busy(true);
  try {
    await beginning;
    if (!conversation) await begin();
    [question, sides] = drawTurn(text);
    form.text.value = "";
    await stream(`${path}/say`, { conversation, text, decoding }, (event) => {
      if (event.fault) fault = event.fault;
      else if (event.ending) end(sides[event.pane], event.ending);
      else if (event.text) sides[event.pane].words.append(...plain(event.text));
      else turn = event.turn;
    });
    if (turn === null) throw new Error(fault);
    sides.forEach((side, pane) => offerPrograms(side, turn, pane));
    panes.append(ballot(turn));
    say("Both have answered.");
  } catch (problem) {
    // Nothing of it counts: the question can be put again.
    for (const part of [question, ...sides.map((side) => side.element)]) part?.remove();
    form.text.value ||= text;
    if (problem.status === 404) conversation = null;
    say(problem.message, true);
    watch();
  } finally {
    busy(false);
  }
}

function busy(is) {
  answering = is;
  byId("stop").disabled = !is;
  form.querySelector("button[type=submit]").disabled = is;
  byId("new").disabled = byId("blind").disabled = byId("reveal").disabled = is;
}

/** The question over both panes, and an empty answer in each. */
function drawTurn(text) {
  byId("ready").hidden = true;
  drawnTurns += 1;
  const question = h("div", { className: "turn question whole" }, plain(text));
  const sides = [0, 1].map((pane) => {
    const words = h("div", { className: "prose" }), note = h("p", { className: "soft" });
    const name = h("h3", { className: "pane-name", id: `answer-${drawnTurns}-${pane}`, data: { pane } }, names[pane]);
    const element = h("section", { className: "turn answer card", "aria-labelledby": name.id, "aria-busy": "true" }, name, words, note);
    return { element, words, note, programs: 0 };
  });
  panes.append(question, ...sides.map((side) => side.element));
  sides[0].element.scrollIntoView({ block: "nearest" });
  return [question, sides];
}

function end(side, { text, tokens, seconds, ended, programs }) {
  side.programs = programs;
  // Now with its code in colours; while it is written, a fence may still be open.
  const whole = h("div", {}, text ? highlight(text) : h("p", { className: "soft" }, "(an empty answer)"));
  side.words.replaceWith(whole);
  const speed = seconds > 0 ? `, ${(tokens / seconds).toFixed(1)} a second` : "";
  side.note.textContent = `${number(tokens)} tokens${speed}${ended ? "" : "; not ended by itself"}`;
  side.element.setAttribute("aria-busy", "false");
}

// Votes.

function ballot(turn) {
  const of = conversation;
  const line = h("div", { className: "turn whole ballot", role: "group", "aria-label": "Which answer is better?" });
  line.append(...CHOICES.map(([choice, label]) => {
    const made = button(label, "", async () => {
      try {
        await post(`${path}/vote`, { conversation: of, turn, choice, by: byId("by").value.trim() || "reviewer" });
        for (const other of line.children) other.setAttribute("aria-pressed", String(other === made));
        say("Vote saved.");
      } catch (problem) {
        say(problem.message, true);
      }
    });
    return made;
  }));
  return line;
}

async function showTally() {
  const found = await get(`${path}/votes`);
  const words = (counts) => ["tuned", "base", "both", "neither"].map((name) => `${name} ${counts[name] ?? 0}`).join(", ");
  const some = (counts) => Object.keys(counts).length > 0;
  byId("tally").textContent = [some(found.blind) ? `Blind votes: ${words(found.blind)}.` : "", some(found.open) ? `Open votes: ${words(found.open)}.` : ""].join(" ");
}

// Programs in an answer.

async function offerPrograms(side, turn, pane) {
  if (!side.programs) return;
  const of = conversation;
  files ??= get(`${path}/files`);
  const found = await files.catch((problem) => {
    files = null;
    say(problem.message, true);
  });
  if (!found || found.fault) return;
  for (let program = 0; program < side.programs; program += 1) side.element.append(bench(found, { conversation: of, turn, pane, program }));
}

function bench(found, where) {
  const choice = h("select", { "aria-label": "Data for the program" },
    found.made ? h("option", { value: "made" }, "data made for this program") : null,
    found.files.map((file) => h("option", { value: file.name }, `${file.name} (${number(file.bytes)} bytes)`)),
    found.more ? h("option", { disabled: true }, `and ${number(found.more)} more, which are not listed`) : null);
  const shown = h("div", { "aria-live": "polite" });
  const run = button(where.program ? `Run program ${where.program + 1} on` : "Run the program on", "", async () => {
    run.disabled = true;
    shown.replaceChildren(h("p", { className: "soft" }, "It runs in the sandbox…"));
    try {
      shown.replaceChildren(...result(await post(`${path}/program`, { ...where, file: choice.value })));
    } catch (problem) {
      shown.replaceChildren(h("p", { className: "fault" }, plain(problem.message)));
    }
    run.disabled = false;
  });
  return h("div", { className: "bench" }, h("p", { className: "buttons" }, run, choice), shown);
}

function result(found) {
  const printed = (title, text) => (text ? [h("h4", {}, title), h("pre", { className: "log", tabIndex: 0 }, plain(text))] : []);
  return [
    h("p", { className: found.ok ? "good" : "bad" }, plain(found.summary)),
    found.names.length ? h("p", { className: "soft" }, plain(`It found: ${found.names.join(", ")}`)) : "",
    ...printed("Lint", found.findings.join("\n")), ...printed("Output", found.stdout), ...printed("Errors", found.stderr),
    found.truncated ? h("p", { className: "soft" }, "Its output was cut here.") : "",
    found.command ? command(found.command) : "",
  ];
}

form.addEventListener("input", (event) => { if (event.target !== form.text) showCommand(); });
form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
form.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
byId("stop").addEventListener("click", () => act("stop"));
byId("new").addEventListener("click", beginAnew);
byId("blind").addEventListener("change", beginAnew);
byId("reveal").addEventListener("click", async () => {
  try {
    nameThem((await post(`${path}/reveal`, { conversation })).panes);
    byId("reveal").hidden = true;
    await showTally();
  } catch (problem) {
    say(problem.message, true);
  }
});
byId("by").value = localStorage.getItem("seedtune-reviewer") ?? document.querySelector('meta[name="reviewer"]').content;
byId("by").addEventListener("change", () => {
  localStorage.setItem("seedtune-reviewer", byId("by").value.trim());
  showCommand();
});
watch();
