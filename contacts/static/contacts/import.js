/* Import pages. Everything works without it; with it the file is re-read at once and progress moves by itself. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-drop]").forEach((zone) => {
        const input = zone.querySelector("input");
        const text = zone.querySelector("[data-drop-text]");
        // Unfold would look for the text box of its own file field beside ours and stumble.
        input.hasChangeListener = true;
        input.addEventListener("change", () => { if (input.files.length) text.textContent = input.files[0].name; });
        ["dragenter", "dragover"].forEach((name) => zone.addEventListener(name, () => zone.classList.add("is-over")));
        ["dragleave", "drop"].forEach((name) => zone.addEventListener(name, () => zone.classList.remove("is-over")));
    });

    document.querySelectorAll("[data-columns]").forEach((form) => {
        form.querySelectorAll("[data-reread]").forEach((input) => input.addEventListener("change", () => form.submit()));
        form.querySelectorAll("[data-field]").forEach((select) => select.addEventListener("change", () => {
            const key = select.parentElement.querySelector("[data-key]");
            key.hidden = !["variable", "attribute"].includes(select.value);
        }));
    });

    document.querySelectorAll("button[data-busy]").forEach((button) => {
        button.form.addEventListener("submit", (event) => {
            if (event.submitter !== button) return;
            // Later, so that the button's own name and value are still sent.
            setTimeout(() => { button.disabled = true; button.textContent = button.dataset.busy; }, 0);
        });
    });

    const progress = document.querySelector("[data-progress]");
    if (progress) {
        const look = async () => {
            try {
                const answer = await fetch(`${location.pathname}?part=1`, { headers: { "X-Requested-With": "fetch" } });
                const html = answer.ok && answer.status === 200 ? await answer.text() : "";
                if (answer.status === 204 || html.includes("<html")) { location.replace(location.pathname); return; }
                if (html) progress.innerHTML = html;
            } catch (error) { /* the server is restarting: ask again */ }
            setTimeout(look, Number(progress.dataset.every));
        };
        setTimeout(look, Number(progress.dataset.every));
    }
});
