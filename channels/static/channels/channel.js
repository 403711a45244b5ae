"use strict";
// “Copy” beside the callback address. Without a secure context there is no clipboard: the text is then selected.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const done = () => { button.textContent = button.dataset.done; };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(source.textContent.trim()).then(done);
  } else {
    window.getSelection().selectAllChildren(source);
  }
});

// A new channel is checked by itself. Not by the server while saving: a call to a provider has no place in a transaction.
document.addEventListener("DOMContentLoaded", () => { document.querySelector("form[data-at-once]")?.requestSubmit(); });

// Finding a provider while typing; Enter asks the server for the same.
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-filter]");
  if (!form) return;
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  document.querySelectorAll("[data-group]").forEach((group) => {
    let here = 0;
    group.querySelectorAll("[data-words]").forEach((card) => {
      card.hidden = !words.every((word) => card.dataset.words.includes(word));
      here += !card.hidden;
    });
    group.hidden = !here;
    found += here;
  });
  document.querySelector("[data-nothing]").hidden = found > 0;
});
