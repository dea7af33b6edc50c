// Players beside each other: a match, one position, where they disagree, and how a run learned.

import { get } from "../lib/api.js";
import { clear, h } from "../lib/dom.js";
import { Disagreements } from "./disagreements.js";
import { LearnedView } from "./learned.js";
import { MatchView } from "./matchview.js";
import { TwoViews } from "./twoviews.js";
import { checkpointsOf } from "../lib/players.js";

const COMPARE_TABS = [
  ["match", "Match", MatchView],
  ["position", "One position, two players", TwoViews],
  ["disagree", "Where they disagree", Disagreements],
  ["learned", "How it learned", LearnedView],
];

export async function show(root, params, page) {
  const [{ runs, matches, shipped }, { games }] = await Promise.all([
    get("runs", {}, page.signal), get("catalogue", {}, page.signal)]);
  const known = { matches, games, shipped, runs: await runsWithGames(runs, page.signal) };
  const body = h("div", { role: "tabpanel", "aria-label": "Comparison" });
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "What to compare" });
  clear(root, h("h1", {}, "Compare"), tabs, body);
  const chosen = COMPARE_TABS.some(([key]) => key === params.tab) ? params.tab : params.match || matches.length ? "match" : "position";
  let leaving = new AbortController();

  // What a part gets: `kept` are its choices, which the address holds.
  function openTab(name, choices) {
    leaving.abort();
    leaving = new AbortController();
    const { signal } = leaving;
    page.signal.addEventListener("abort", () => leaving.abort(), { once: true });
    clear(tabs, COMPARE_TABS.map(([key, title]) => h("button", { type: "button", role: "tab", "aria-selected": String(key === name),
      tabindex: key === name ? "0" : "-1", onclick: () => openTab(key, kept), onkeydown: (event) => stepTab(event, key) }, title)));
    const kept = { ...choices, tab: name };
    const part = {
      signal, known, kept, open: openTab,
      onKey: page.onKey, link: page.link,
      fail: (error) => { if (!signal.aborted) page.fail(error); },
      keep: (others) => { Object.assign(kept, others); page.keep(kept); },
    };
    page.keep(kept);
    const [, , View] = COMPARE_TABS.find(([key]) => key === name);
    const view = new View(clear(body), part);
    view.begin().catch(part.fail);
  }

  function stepTab(event, key) {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!turn) return;
    event.preventDefault();
    event.stopPropagation();
    const at = COMPARE_TABS.findIndex(([name]) => name === key);
    openTab(COMPARE_TABS[(at + turn + COMPARE_TABS.length) % COMPARE_TABS.length][0], { ...params });
    tabs.querySelector("[aria-selected=true]").focus();
  }

  openTab(chosen, params);
}

// Returns runs with their games, where the list does not say them.
function runsWithGames(runs, signal) {
  return Promise.all(runs.map(async (run) => {
    if ("game" in run) return run;
    return { ...run, game: await checkpointsOf(run.name, signal).then(({ game }) => game, () => "") };
  }));
}
