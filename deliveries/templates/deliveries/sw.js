{# A Django template: rendered for one channel by deliveries.public.apps. #}"use strict";
// The part of Cascade that runs in the person's browser: shows a message, says that it was shown and opened.
// On your own site: a file /cascade-sw.js at its root with one line, importScripts("<this address>").
(() => {
  const base = "{{ base|escapejs }}";
  const publicKey = "{{ public_key|escapejs }}";
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const post = (where, told) =>
    fetch(base + where, {
      method: "POST",
      headers: { "Content-Type": "text/plain" },
      body: JSON.stringify(told),
      keepalive: true,
    });

  // A receipt that is lost sends the next message of the chain to a person who has read this one: worth three tries.
  const report = async (ref, event) => {
    for (const wait of [0, 1000, 5000]) {
      await pause(wait);
      try {
        const answer = await post("receipt", { ref, event });
        if (answer.status < 500 && answer.status !== 429) return;
      } catch {
        // no network: again
      }
    }
  };

  const read = (event) => {
    try {
      const told = event.data.json();
      return told && typeof told.ref === "string" ? told : null;
    } catch {
      return null;
    }
  };

  self.addEventListener("push", (event) => {
    const told = event.data && read(event);
    if (!told) return; // of another sender of this site
    const options = {
      body: told.body || "",
      icon: told.icon || undefined,
      tag: told.key || told.ref, // a repeat takes the place of the first
      data: { cascade: told.ref, url: told.url || "" },
    };
    const shown = self.registration.showNotification(told.title || "", options);
    event.waitUntil(shown.then(() => report(told.ref, "delivered")));
  });

  self.addEventListener("notificationclick", (event) => {
    const { cascade, url } = event.notification.data || {};
    if (!cascade) return;
    event.notification.close();
    const opened = /^https?:\/\//.test(url) ? self.clients.openWindow(url).catch(() => null) : Promise.resolve();
    event.waitUntil(Promise.all([report(cascade, "opened"), opened]));
  });

  // The browser gave this device another address: the old one proves whose it is.
  self.addEventListener("pushsubscriptionchange", (event) => {
    const old = event.oldSubscription;
    if (!old) return;
    const key = Uint8Array.from(atob(publicKey.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
    const options = { userVisibleOnly: true, applicationServerKey: key };
    const next = event.newSubscription || self.registration.pushManager.subscribe(options);
    event.waitUntil(
      Promise.resolve(next).then((found) => post("device", { old: old.toJSON(), subscription: found.toJSON() })),
    );
  });
})();
