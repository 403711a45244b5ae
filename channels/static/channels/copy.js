// “Copy” beside the callback address. Without a secure context there is no clipboard: the text is then selected.
"use strict";
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
