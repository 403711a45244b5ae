/* Parts of pages that keep themselves fresh: <div data-live="address" data-every="2500">. Only the part is replaced, never
   the page, so what the reader filters, scrolls and types stays. An answer with X-Settled ends the asking. */
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-live]").forEach((place) => {
        const every = Number(place.dataset.every);
        let last = null;
        let misses = 0;

        const show = (html) => {
            if (html === last || place.matches(":active")) return;  // a button under the finger is not pulled away
            const held = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
            place.innerHTML = html;
            last = html;
            const again = held && [...place.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === held);
            if (again) again.focus({ preventScroll: true });
        };

        const look = async () => {
            if (document.hidden) { setTimeout(look, every); return; }
            try {
                const answer = await fetch(place.dataset.live, { headers: { "X-Requested-With": "fetch" } });
                // The session has ended or the campaign is gone: the page itself says so better than we can.
                if (answer.redirected || answer.status === 403 || answer.status === 410) { location.reload(); return; }
                if (!answer.ok) throw new Error(String(answer.status));
                show(await answer.text());
                misses = 0;
                place.classList.remove("is-stale");
                if (answer.headers.get("X-Settled")) return;
            } catch (error) {
                misses += 1;
                if (misses > 2) place.classList.add("is-stale");
            }
            setTimeout(look, every * Math.min(1 + misses, 8));
        };
        setTimeout(look, place.dataset.now === undefined ? every : 0);
    });
});
