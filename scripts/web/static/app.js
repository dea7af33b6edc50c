// The frame: which screen is open, and what all screens share.

import { ApiError, allow } from "./lib/api.js";
import { clear, coded, h } from "./lib/dom.js";
import { bindKey, forgetKeys, listenForKeys, showKeys } from "./lib/keys.js";

// Name of a screen in the address, its name for people, and whether the navigation lists it.
const SCREENS = [
  ["runs", "Runs", true],
  ["run", "Run", false],
  ["play", "Play", true],
  ["games", "Games", true],
  ["compare", "Compare", true],
  ["replay", "Replay", true],
  ["game", "Rules", true],
  ["oversee", "Oversee", true],
];
const main = document.getElementById("main");
let leaving = new AbortController();

// What a screen's show(root, params, page) gets.
function pageOf(controller, name, params) {
  return {
    signal: controller.signal,
    params,
    go: (screen, others) => { location.hash = hashOf(screen, others); },
    // Keeps a choice in the address without opening the screen anew.
    keep: (others) => history.replaceState(null, "", `#${hashOf(name, { ...params, ...others })}`),
    link: (screen, others) => `#${hashOf(screen, others)}`,
    onKey: bindKey,
    again: open,
    fail: (error) => showError(main, error, () => open()),
  };
}

export function hashOf(screen, params) {
  const known = Object.entries(params || {}).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(known).toString();
  return query ? `${screen}?${query}` : screen;
}

// Shows an error above a screen, with a button where a person may allow what it asks for.
function showError(root, error, again) {
  if (error.name === "AbortError") return;
  root.querySelector(":scope > .error")?.remove();
  const box = h("div", { class: "error", role: "alert" }, h("p", {}, coded(error.message)));
  if (error instanceof ApiError && error.consent) {
    const yes = async () => {
      await allow(error.consent);
      again();
    };
    box.append(
      h("p", {}, "It is somebody's own code, with all that a program of yours may do. Run it only if you trust it."),
      h("button", { type: "button", class: "primary", onclick: yes }, `Run ${error.consent}`));
  } else if (!(error instanceof ApiError)) {
    console.error(error);
  }
  root.prepend(box);
  box.scrollIntoView({ block: "nearest" });
}

async function open() {
  leaving.abort();
  const controller = leaving = new AbortController();
  const [given, query] = location.hash.slice(1).split("?");
  const wanted = SCREENS.find(([known]) => known === given);
  const [name, title] = wanted || SCREENS[0];
  const params = Object.fromEntries(new URLSearchParams(query || ""));
  forgetKeys();
  document.title = `${title} · selfplay`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.screen === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  clear(main, h("p", { class: "quiet" }, "loading"));
  const root = h("div", { class: `screen screen-${name}` });
  const page = pageOf(controller, name, params);
  try {
    const screen = await import(`./${name}/screen.js`);
    if (controller.signal.aborted) return;
    clear(main, root);
    if (given && !wanted) showError(main, new ApiError(`There is no page “${given}”: these are the runs.`), open);
    await screen.show(root, params, page);
  } catch (error) {
    if (controller.signal.aborted) return;
    clear(main, root);
    showError(main, error, open);
  }
}

function begin() {
  // The token has become a cookie: it need not stay in the history.
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  const nav = document.getElementById("nav");
  nav.append(...SCREENS.filter(([, , listed]) => listed).map(([name, title]) =>
    h("a", { href: `#${name}`, "data-screen": name }, title)));
  document.getElementById("help").addEventListener("click", showKeys);
  listenForKeys();
  window.addEventListener("hashchange", open);
  window.addEventListener("unhandledrejection", (event) => showError(main, event.reason, open));
  open();
}

begin();
