// Elements from text. Nothing here or anywhere else in the studio reads text as markup.

/** An element; properties are set as such, `data` as data attributes, `aria-*` and `role` as attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  // One by one: a call takes no hundred thousand arguments.
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

export const byId = (id) => document.getElementById(id);

const SAID_MS = 8000;
let leaving = 0;

/** Say something over the page, and to a screen reader. A fault stays; what went well makes room again. */
export function say(text, fault = false) {
  const line = byId("status");
  line.classList.toggle("fault", fault);
  if (line.textContent !== text) line.textContent = text;
  clearTimeout(leaving);
  if (text && !fault) leaving = setTimeout(say, SAID_MS, "");
}

const ODD = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffd\u{e0000}-\u{e007f}])/u;

/** Text with characters that hide or turn others shown by their number. */
export function plain(text) {
  return text.split(new RegExp(ODD, "gu")).map((part) => {
    if (!ODD.test(part)) return part;
    const number = `U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    return h("span", { className: "odd", title: "a character that cannot be seen" }, number);
  });
}

/** A command line with a button that copies it. */
export function command(text) {
  const line = h("code", {}, text);
  const button = h("button", { type: "button", className: "plain", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      // Browsers refuse the clipboard to a page that came unencrypted from another machine.
      getSelection().selectAllChildren(line);
      say("The browser does not let this page copy. The line is selected: Ctrl C copies it.");
    }
  });
  return h("div", { className: "command" }, line, button);
}

/** A word as a shell takes it letter for letter. */
export const quoted = (word) => (/^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

export const number = (value) => value.toLocaleString("en-US");

export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  const two = (value) => String(value).padStart(2, "0");
  const rest = two(Math.floor(seconds % 60));
  return hours ? `${hours}:${two(minutes % 60)}:${rest}` : `${minutes}:${rest}`;
}

/**
 * Do something now and every `ms` while the page is looked at; it is never begun again before it ended.
 * A fault is said until it is over.
 */
export function poll(work, ms) {
  let failed = false;
  const once = async () => {
    try {
      if (!document.hidden) await work();
      if (failed) say("");
      failed = false;
    } catch (problem) {
      failed = true;
      say(problem.message, true);
    }
    setTimeout(once, ms);
  };
  once();
}
