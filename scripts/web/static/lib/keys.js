// Keys of the screen that is open, and the overlay that lists them.

import { h } from "./dom.js";

const bound = new Map();

// Lets a key do something on this screen: "ArrowLeft", "h", "Shift+N".
export function bindKey(key, about, action) {
  bound.set(key, { about, action });
}

export function forgetKeys() {
  bound.clear();
}

// Shows all keys, in a dialog that Escape closes.
export function showKeys() {
  const rows = [...bound].map(([key, { about }]) =>
    h("tr", {}, h("th", {}, h("kbd", {}, key.replace("Arrow", ""))), h("td", {}, about)));
  rows.push(h("tr", {}, h("th", {}, h("kbd", {}, "?")), h("td", {}, "this list")));
  const dialog = h("dialog", { class: "keys", "aria-label": "Keys", onclose: () => dialog.remove() },
    h("h2", {}, "Keys"),
    h("table", {}, h("tbody", {}, rows)),
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

// Obeys keys, unless the person types into a field.
export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") return showKeys();
    const name = event.shiftKey && event.key.length === 1 ? `Shift+${event.key.toUpperCase()}` : event.key;
    const binding = bound.get(name);
    if (!binding) return;
    event.preventDefault();
    binding.action(event);
  });
}
