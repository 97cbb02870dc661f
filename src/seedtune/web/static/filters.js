// The filters above the rows; they stand in the page's address, so that it can be kept and sent.

import { byId, number } from "./dom.js";

const form = byId("filters");
const NAMES = ["text", "verdict", "reason", "pack", "topic", "review", "low", "high"];
const FIXED = {
  verdict: { kept: "kept", rejected: "rejected" },
  review: { open: "open", accept: "accepted", reject: "rejected", edited: "edited", disputed: "disputed" },
};
const wanted = new URLSearchParams(location.search);
const TYPING_MS = 200;

export function readFilters() {
  return Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value));
}

/** Offer what there is, each value with how many rows have it. */
export function fillFilters(facets) {
  for (const name of ["verdict", "reason", "pack", "topic", "review"]) {
    const select = form.elements[name];
    const chosen = facets ? select.value : (wanted.get(name) ?? "");
    const counts = facets?.[name] ?? Object.fromEntries(Object.keys(FIXED[name] ?? {}).map((value) => [value, null]));
    if (chosen && !(chosen in counts)) counts[chosen] = facets ? 0 : null;
    const options = Object.entries(counts).map(([value, count]) =>
      new Option((FIXED[name]?.[value] ?? value) + (count === null ? "" : ` (${number(count)})`), value));
    select.replaceChildren(new Option("any", ""), ...options);
    select.value = chosen;
  }
  if (!facets) for (const name of ["text", "low", "high"]) form.elements[name].value = wanted.get(name) ?? "";
}

/** Show all rows; the caller fetches them. */
export function clearFilters() {
  for (const name of NAMES) form.elements[name].value = "";
  keep();
}

function keep() {
  const text = new URLSearchParams(readFilters()).toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export function watchFilters(changed) {
  let timer = 0;
  const apply = () => {
    clearTimeout(timer);
    keep();
    changed();
  };
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(apply, event.target.tagName === "SELECT" ? 0 : TYPING_MS);
  });
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
}
