{# A Django template: rendered for one channel by deliveries.public.apps. #}"use strict";
// Notifications from this site, by Cascade. Put it on a page, and a button with data-cascade-push.
(() => {
  const base = "{{ base|escapejs }}";
  const publicKey = "{{ public_key|escapejs }}";
  const worker = document.currentScript.dataset.worker || "/cascade-sw.js";
  const supported = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

  // Plain text: a browser asks another site first about any other kind of body.
  const tell = async (told) => {
    const body = JSON.stringify(told);
    const answer = await fetch(base + "device", { method: "POST", headers: { "Content-Type": "text/plain" }, body });
    if (!answer.ok) throw new Error("registration: " + answer.status);
  };

  const active = (registration) =>
    new Promise((resolve) => {
      const coming = registration.installing || registration.waiting;
      if (registration.active || !coming) return resolve(registration);
      coming.addEventListener("statechange", () => coming.state === "activated" && resolve(registration));
    });

  const sameKey = (subscription) => {
    const mine = bytes(publicKey);
    const its = new Uint8Array((subscription.options && subscription.options.applicationServerKey) || []);
    return its.length === mine.length && its.every((each, index) => each === mine[index]);
  };

  // `who` proves whose browser this is: {message} or {phone, expires, signature}. Must be called by a press of a button.
  const subscribe = async (who) => {
    if ((await Notification.requestPermission()) !== "granted") throw new Error("denied");
    const { pushManager } = await active(await navigator.serviceWorker.register(worker));
    let subscription = await pushManager.getSubscription();
    if (subscription && !sameKey(subscription)) {
      await subscription.unsubscribe();
      subscription = null;
    }
    const options = { userVisibleOnly: true, applicationServerKey: bytes(publicKey) };
    subscription = subscription || (await pushManager.subscribe(options));
    await tell({ ...who, subscription: subscription.toJSON() });
  };

  const unsubscribe = async () => {
    const registration = await navigator.serviceWorker.getRegistration(worker);
    const subscription = registration && (await registration.pushManager.getSubscription());
    if (!subscription) return;
    await tell({ gone: true, subscription: subscription.toJSON() });
    await subscription.unsubscribe();
  };

  const whoOf = (button) => {
    const { phone, expires, signature } = button.dataset;
    const message = new URLSearchParams(location.search).get("m");
    if (phone && signature) return { phone, expires, signature };
    return message ? { message } : null;
  };

  const show = (state) =>
    document.querySelectorAll("[data-cascade-push-state]").forEach((each) => {
      each.hidden = each.dataset.cascadePushState !== state;
    });

  const bind = (button) => {
    const who = whoOf(button);
    if (!supported) return show("unsupported");
    if (!who) return show("unknown");
    if (Notification.permission === "denied") return show("denied");
    button.hidden = false;
    show("ask");
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await subscribe(who);
        button.hidden = true;
        show("done");
      } catch (error) {
        button.disabled = false;
        show(error.message === "denied" ? "denied" : "failed");
      }
    });
  };

  window.CascadePush = { supported, subscribe, unsubscribe };
  document.querySelectorAll("[data-cascade-push]").forEach(bind);
})();
