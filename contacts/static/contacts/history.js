/* The contact's page: load what was sent to the person after the page itself is shown. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-history]").forEach(async (place) => {
        try {
            const answer = await fetch(place.dataset.history, { headers: { "X-Requested-With": "fetch" } });
            // 403 says in words who may see it.
            if (!answer.ok && answer.status !== 403) throw new Error(String(answer.status));
            place.innerHTML = await answer.text();
        } catch (error) {
            place.textContent = place.dataset.failed;
        }
    });
});
