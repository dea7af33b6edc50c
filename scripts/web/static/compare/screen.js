// Players beside each other: a match, one position, where they disagree, and how a run learned.

import { get } from "../lib/api.js";
import { clear, h } from "../lib/dom.js";
import { Disagreements } from "./disagreements.js";
import { LearnedView } from "./learned.js";
import { MatchView } from "./matchview.js";
import { TwoViews } from "./twoviews.js";

const TABS = [
  ["match", "Match", MatchView],
  ["position", "One position, two players", TwoViews],
  ["disagree", "Where they disagree", Disagreements],
  ["learned", "How it learned", LearnedView],
];

export async function show(root, params, page) {
  const [known, { games, game }] = await Promise.all([get("runs", {}, page.signal), get("catalogue", { game: params.game }, page.signal)]);
  const usual = params.match || known.matches.length ? "match" : "position";
  const [chosen, , View] = TABS.find(([key]) => key === params.tab) || TABS.find(([key]) => key === usual);
  const kept = { ...params, game, tab: chosen };
  const body = h("div", {});
  clear(root, h("h1", {}, "Compare"),
    h("div", { class: "tabs", role: "group", "aria-label": "What to compare" }, TABS.map(([key, title]) =>
      h("button", { type: "button", "aria-pressed": String(key === chosen), onclick: () => page.go("compare", { ...kept, tab: key }) }, title))),
    body);
  await new View(body, {
    ...page, known: { ...known, games }, kept,
    open: (tab, choices) => page.go("compare", { ...choices, tab }),
    keep: (others) => page.keep(Object.assign(kept, others)),
  }).begin();
}
