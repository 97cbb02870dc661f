// Loaded before the page is drawn, so that it is never drawn in the other colours.
"use strict";
(() => {
  const order = ["auto", "light", "dark"];
  const root = document.documentElement;
  const stored = localStorage.getItem("seedtune-theme");
  root.dataset.theme = order.includes(stored) ? stored : "auto";
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => { button.title = `Colours: ${root.dataset.theme}`; };
    name();
    button.addEventListener("click", () => {
      root.dataset.theme = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
      localStorage.setItem("seedtune-theme", root.dataset.theme);
      name();
    });
  });
})();
