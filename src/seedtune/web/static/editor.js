// Edit a task. Nothing is changed until it is saved.

import { byId } from "./dom.js";

const dialog = byId("editor");
const form = dialog.querySelector("form");
const PARTS = ["instruction", "input", "output"];

const check = (field) => field.setCustomValidity(field.required && !field.value.trim() ? "Write something here." : "");
form.addEventListener("input", (event) => check(event.target));

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(form.querySelector('[value="save"]'));
});

/** The edited task; null if it was left as it is. */
export function edit(task) {
  for (const part of PARTS) {
    form.elements[part].value = task[part];
    check(form.elements[part]);
  }
  dialog.returnValue = "";
  dialog.showModal();
  form.elements.output.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const edited = Object.fromEntries(PARTS.map((part) => [part, form.elements[part].value]));
      resolve(dialog.returnValue === "save" ? edited : null);
    }, { once: true });
  });
}
