// Says that a person's browser shows this page, and goes on at once. Without scripts the link above leads there.
const lead = () => location.replace(document.getElementById("target").href);
fetch(location.pathname, { method: "POST", keepalive: true }).then(lead, lead);
