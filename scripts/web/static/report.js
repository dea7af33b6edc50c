// The page of a report: what run/screen.js shows, with the data that lies in the page.

import { shortNames } from "./curves/curvedata.js";
import { curveBoard } from "./curves/curves.js";
import { clear, h } from "./lib/dom.js";
import { diagnosis, differences, differing, evaluationOf, facts, gameViewer, measured, problems, settings, workersOf } from "./run/runview.js";

export function showReport(root, content) {
  const short = shortNames(content.runs.map((run) => run.label));
  const runs = content.runs.map((run, i) => ({ ...run.described, label: short[i], data: run.curves, more: run }));
  clear(root, h("h1", {}, runs.map((run) => run.run).join(" and ")));
  const heads = runs.map((run, i) => h("section", { class: `card run-head run-${i % 6}` },
    runs.length > 1 ? h("h2", {}, run.label) : null,
    problems(run, run.data), facts(run), evaluationOf(run),
    h("h3", {}, "Settings that differ from the preset"), differing(run)));
  root.append(h("div", { class: runs.length > 1 ? "columns" : "" }, heads));
  if (runs.length > 1) root.append(h("section", { class: "card" }, differences(runs)));
  const curves = h("section", {});
  root.append(h("h2", {}, "Curves"), curves);
  curveBoard(curves)(runs.map((run) => ({ name: run.run, label: run.label, data: run.data })));
  for (const run of runs) {
    const named = (title) => h("h2", {}, runs.length > 1 ? `${title}: ${run.label}` : title);
    const beside = run.more.measured;
    root.append(
      h("section", { class: "card" }, named("A game"), gameViewer(run.more.game)),
      h("section", { class: "card" }, named("The doctor"), diagnosis(run)),
      beside.plots.length || beside.problems.length ? h("section", {}, named("Values beside outcomes, and mistakes by ply"), measured(beside)) : "");
    const workers = workersOf(run);
    if (workers) root.append(workers);
    root.append(h("section", { class: "card" }, settings(run)));
  }
  root.append(h("p", { class: "quiet" }, content.made));
}
