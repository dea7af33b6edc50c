// All runs: what each is, who has it, how far it is, how it plays, what the doctor says.

import { get, repeat } from "../lib/api.js";
import { clear, count, h } from "../lib/dom.js";
import { duration, verdictOf } from "../run/runview.js";

const POLL = 5000; // milliseconds

export async function show(root, params, page) {
  const chosen = new Set();
  const body = h("tbody", {}), note = h("p", { class: "quiet" }), matches = h("div", {});
  const filter = h("input", { type: "search", placeholder: "name or game", "aria-label": "Show only runs whose name or game has this", oninput: () => draw() });
  const overlay = h("button", { type: "button", disabled: true, onclick: () => together(page, [...chosen]) }, "Overlay chosen runs");
  let runs = [];

  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const shown = runs.filter((run) => !wanted || `${run.name} ${run.game}`.toLowerCase().includes(wanted));
    const focused = document.activeElement?.dataset?.run;
    clear(body, shown.map((run) => row(run, page, chosen, () => { overlay.disabled = chosen.size < 2; })));
    if (focused != null) [...body.querySelectorAll("input")].find((box) => box.dataset.run === focused)?.focus();
    note.textContent = runs.length ? `${shown.length} of ${runs.length} runs` : "No runs here yet: selfplay train makes one. This page finds it.";
  }

  root.append(h("h1", {}, "Runs"),
    h("div", { class: "row" }, h("label", { class: "field" }, h("span", {}, "filter"), filter), overlay), note,
    h("div", { class: "wide card" }, h("table", { class: "runs-table" },
      h("thead", {}, h("tr", {}, ["run", "game", "state", "steps", "time", "last evaluation", "doctor"].map((name) => h("th", {}, name)))), body)),
    matches);
  page.onKey("f", "filter", () => filter.focus());
  const read = async () => {
    const told = await get("runs", {}, page.signal);
    const changed = JSON.stringify(told.runs) !== JSON.stringify(runs);
    runs = told.runs;
    if (changed || !body.children.length) draw();
    clear(matches, told.matches.length ? [h("h2", {}, "Matches"), h("ul", {}, told.matches.map((match) =>
      h("li", {}, h("a", { href: page.link("compare", { match: match.name }) }, match.name))))] : []);
  };
  await read();
  repeat(read, POLL, page);
}

// Shows several runs over each other.
function together(page, [first, ...others]) {
  page.go("run", { run: first, with: JSON.stringify(others) });
}

function row(run, page, chosen, onchange) {
  const box = h("input", {
    type: "checkbox", "aria-label": `Choose ${run.name}`, "data-run": run.name, checked: chosen.has(run.name),
    onchange: () => { if (box.checked) chosen.add(run.name); else chosen.delete(run.name); onchange(); },
  });
  const evaluated = run.evaluation || h("span", { class: "quiet" }, "none yet");
  return h("tr", {},
    h("td", {}, box, " ", h("a", { href: page.link("run", { run: run.name }) }, run.name),
      run.problem ? h("p", { class: "bad" }, run.problem) : null),
    h("td", { "data-name": "game" }, run.game || "?"),
    h("td", { class: `state-${run.state.replace(/ .*/, "")}`, "data-name": "state" }, run.state, run.host && run.state === "running" ? h("div", { class: "quiet" }, run.host) : null),
    h("td", { "data-name": "steps" }, count(run.step)), h("td", { "data-name": "time" }, duration(run.minutes)),
    h("td", { "data-name": "last evaluation" }, evaluated), h("td", { "data-name": "doctor" }, verdictOf(run)));
}
