"use strict";
// Buttons whose word cannot be taken back ask once more.
document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-again]");
    if (button && !window.confirm(button.dataset.again)) {
        event.preventDefault();
    }
});
