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

  // The variant of this kind, field by field; an empty field inherits, as in templates_app.services.resolve.
  const inherited = (field) => {
    for (const select of document.querySelectorAll("select[id^=id_variants-][id$=-kind]")) {
      const prefix = select.id.slice(0, -"kind".length);
      const gone = document.getElementById(`${prefix}DELETE`);
      if (select.value === kinds.value && !prefix.includes("__prefix__") && !(gone && gone.checked)) {
        return value(prefix + field) || value(`id_${field}`);
      }
    }
    return value(`id_${field}`);
  };

  const line = (tag, className, content) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = content;
    return element;
  };

  const show = (answer) => {
    out.replaceChildren();
    if (answer.error) {
      const error = line("p", "cascade-live", answer.error.message);
      error.dataset.level = "error";
      out.append(error);
      return;
    }
    for (const one of answer.summary) {
      const row = line("p", "cascade-live", one.text);
      if (one.level) row.dataset.level = one.level;
      out.append(row);
    }
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
    if (!text.value.trim()) { out.replaceChildren(); return; }
    const body = { kind: kinds.value, link: value("id_link") };
    for (const field of ["text", "subject", "button"]) body[field] = inherited(field);
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

  for (const button of document.querySelectorAll("[data-variable]")) {
    button.addEventListener("click", () => {
      const start = text.selectionStart;
      text.setRangeText(`{${button.dataset.variable}}`, start, text.selectionEnd, "end");
      text.focus();
      text.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  ask();
});
