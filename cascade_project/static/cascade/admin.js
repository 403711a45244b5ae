"use strict";
// Small debts of the theme, paid on every page of the admin.
document.addEventListener("DOMContentLoaded", () => {
  // A folded group with a mistake in it must not hide the mistake.
  for (const group of document.querySelectorAll("details")) {
    if (group.querySelector(".errorlist, .errors")) group.open = true;
  }
  // Icons are words of a font (“rocket_launch”): a screen reader must not read them out before the real ones.
  for (const icon of document.querySelectorAll("span.material-symbols-outlined:not([aria-label])")) icon.ariaHidden = "true";
  // On a phone the rows of a list carry their columns' names.
  for (const cell of document.querySelectorAll("td[data-label]")) {
    cell.dataset.label = cell.dataset.label.slice(0, 1).toUpperCase() + cell.dataset.label.slice(1);
  }
  // The search field inside a select2 says nothing of what is searched: it takes the name of its select.
  const name = () => {
    for (const box of document.querySelectorAll(".select2-search__field:not([aria-label])")) {
      const own = box.closest(".select2-container")?.previousElementSibling || document.querySelector("select:has(+ .select2-container--open)");
      const label = own && document.querySelector(`label[for="${own.id}"]`);
      if (label) box.setAttribute("aria-label", label.textContent.replace("*", "").trim());
    }
  };
  // select2 draws itself after us, and its list when it is opened.
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
});
