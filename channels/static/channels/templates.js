// Live preview of a message template: what three real people would get, how many SMS, what it costs.
// The server renders and counts (templates_app), so the preview cannot disagree with what is sent.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("template-preview");
  const text = document.getElementById("id_text");
  if (!box || !text) return;
  const kinds = document.getElementById("template-preview-kind");
  const out = document.getElementById("template-preview-out");
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  let timer = 0;
  let asked = 0;

  const value = (id) => (document.getElementById(id) || { value: "" }).value;

  // The field a kind's text comes from: its variant's, or the template's where that is empty or missing,
  // as in templates_app.services.resolve.
  const source = (kind, field) => {
    for (const select of document.querySelectorAll("select[id^=id_variants-][id$=-kind]")) {
      const prefix = select.id.slice(0, -"kind".length);
      const gone = document.getElementById(`${prefix}DELETE`);
      if (select.value !== kind || prefix.includes("__prefix__") || (gone && gone.checked)) continue;
      const own = document.getElementById(prefix + field);
      if (own && own.value) return own;
    }
    return document.getElementById(`id_${field}`);
  };

  const line = (tag, className, content) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = content;
    return element;
  };

  // The count stands under the field it counts; the people stand in the card below.
  const count = line("div", "", "");
  count.setAttribute("aria-live", "polite");

  const show = (answer) => {
    out.replaceChildren();
    count.replaceChildren();
    for (const one of answer.error ? [{ level: "error", text: answer.error.message }] : answer.summary) {
      const row = line("p", "cascade-live", one.text);
      if (one.level) row.dataset.level = one.level;
      count.append(row);
    }
    if (answer.error) return;
    for (const sample of answer.samples) {
      const card = line("div", "bg-base-50 dark:bg-base-800 mt-4 p-3 rounded-default", "");
      card.append(line("p", "text-sm font-semibold", sample.who));
      if (sample.subject) card.append(line("p", "font-semibold", sample.subject));
      if (sample.missing) {
        const row = line("p", "cascade-live", sample.missing);
        row.dataset.level = "note";
        card.append(row);
      } else {
        card.append(line("p", "cascade-preview", sample.text));
      }
      out.append(card);
    }
  };

  const ask = async () => {
    const number = ++asked;
    if (!text.value.trim()) { out.replaceChildren(); count.replaceChildren(); return; }
    const body = { kind: kinds.value, link: value("id_link") };
    for (const field of ["text", "subject", "button"]) body[field] = source(kinds.value, field).value;
    const area = source(kinds.value, "text");
    area.after(count);
    // What was wrong when the page was saved is being answered anew: twice the same words, or old ones, would confuse.
    area.closest(".field-line")?.querySelector(".errorlist")?.parentElement.remove();
    try {
      const response = await fetch(box.dataset.url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify(body),
      });
      const answer = await response.json();
      // Answers may overtake each other: only the newest question counts.
      if (number === asked) show(answer);
    } catch {
      if (number === asked) show({ error: { message: box.dataset.offline } });
    }
  };

  const soon = () => { clearTimeout(timer); timer = setTimeout(ask, 300); };
  document.addEventListener("input", (event) => { if (event.target.closest("form, #template-preview")) soon(); });
  document.addEventListener("change", soon);

  // Who types in a text wants to see that text: the kind follows the field.
  document.addEventListener("focusin", (event) => {
    if (event.target.tagName !== "TEXTAREA" || source(kinds.value, "text") === event.target) return;
    const options = [...kinds.options];
    const select = document.getElementById(`${event.target.id.slice(0, -"text".length)}kind`);
    if (select && select.value) {
      if (!options.some((option) => option.value === select.value)) {
        kinds.add(new Option(select.selectedOptions[0].text, select.value));
      }
      kinds.value = select.value;
    } else if (event.target === text) {
      const shared = options.find((option) => source(option.value, "text") === text);
      if (shared) kinds.value = shared.value;
    }
    soon();
  });

  // An approved template brings its words: into an empty field, or in the place of another approved one's.
  document.addEventListener("change", (event) => {
    if (!event.target.id.endsWith("-approved")) return;
    const area = document.getElementById(`${event.target.id.slice(0, -"approved".length)}text`);
    const bodies = [...event.target.options].map((option) => option.dataset.body).filter(Boolean);
    const chosen = event.target.selectedOptions[0].dataset.body;
    if (!chosen || (area.value.trim() && !bodies.includes(area.value))) return;
    area.value = chosen;
    area.focus();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // A variable goes where the owner was typing last; before that, to the end of the main text.
  let typing = null;
  document.addEventListener("focusin", (event) => { if (event.target.tagName === "TEXTAREA") typing = event.target; });
  for (const button of document.querySelectorAll("[data-variable]")) {
    button.addEventListener("click", () => {
      const area = typing || text;
      const [start, end] = typing ? [area.selectionStart, area.selectionEnd] : [area.value.length, area.value.length];
      area.setRangeText(`{${button.dataset.variable}}`, start, end, "end");
      area.focus();
      area.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  ask();
});
