// Steps of a chain by keyboard and thumb: ↑ and ↓ beside the handle for dragging. The order is written into the hidden
// fields by the place of each row, also for rows that are not saved yet (Unfold numbers saved ones only).
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const list = document.getElementById("steps-data");
  const words = document.getElementById("step-words");
  if (!list || !words) return;
  const rows = () => [...list.querySelectorAll(":scope > .form-group:not(.empty-form)")];

  const number = () => {
    const all = rows();
    all.forEach((row, index) => {
      row.querySelector("input[name$=-order]").value = index;
      const counter = row.querySelector(".stacked-counter");
      if (counter) counter.textContent = index + 1;
      const [up, down] = row.querySelectorAll("[data-move]");
      if (!down) return;
      up.disabled = index === 0;
      down.disabled = index === all.length - 1;
    });
  };

  const move = (row, by) => {
    const all = rows();
    const other = all[all.indexOf(row) + by];
    if (!other) return;
    if (by < 0) other.before(row); else other.after(row);
    number();
  };

  const dress = (row) => {
    const title = row.querySelector("h3");
    if (!title || title.querySelector("[data-move]")) return;
    const buttons = [["arrow_upward", -1, words.dataset.up], ["arrow_downward", 1, words.dataset.down]].map(([icon, by, label]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "cascade-move material-symbols-outlined";
      button.dataset.move = by;
      button.textContent = icon;
      button.setAttribute("aria-label", label);
      button.title = label;
      button.addEventListener("click", () => {
        move(button.closest(".form-group"), by);
        // The place has changed, the finger has not: the same button again, or its neighbour at the end of the way.
        (button.disabled ? button.parentElement.querySelector("[data-move]:not(:disabled)") : button)?.focus();
      });
      return button;
    });
    title.querySelector("strong").parentElement.after(...buttons);
  };

  rows().forEach(dress);
  number();
  document.addEventListener("formset:added", (event) => { dress(event.target); number(); });
  document.addEventListener("formset:removed", number);
  list.closest("form").addEventListener("submit", number);
});
