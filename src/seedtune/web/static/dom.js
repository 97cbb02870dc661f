// Elements from text. Nothing here or anywhere else in the studio reads text as markup.

/** An element; properties are set as such, `data` as data attributes, `aria-*` and `role` as attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Say something below the page, and to a screen reader. */
export function say(text, fault = false) {
  const line = byId("status");
  line.classList.toggle("fault", fault);
  if (line.textContent !== text) line.textContent = text;
}

const ODD = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd])/u;

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
  const button = h("button", { type: "button", className: "plain", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  });
  return h("div", { className: "command" }, h("code", {}, text), button);
}

export const number = (value) => value.toLocaleString("en-US");

export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  const two = (value) => String(value).padStart(2, "0");
  const rest = two(Math.floor(seconds % 60));
  return hours ? `${hours}:${two(minutes % 60)}:${rest}` : `${minutes}:${rest}`;
}

/** Do something now and every `ms` while the page is looked at; it is never begun again before it ended. */
export function poll(work, ms) {
  const once = async () => {
    if (!document.hidden) await work();
    setTimeout(once, ms);
  };
  once();
}
