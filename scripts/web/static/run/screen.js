// A run while it trains: curves, what happened, the doctor, and ways to its games.

import { Asker, ask, get, repeat } from "../lib/api.js";
import { shortNames } from "../curves/curvedata.js";
import { curveBoard } from "../curves/curves.js";
import { clear, count, h } from "../lib/dom.js";
import { diagnosis, differences, differing, evaluationOf, facts, measured, problems, sentenceOf, settings, workersOf } from "./runview.js";

const POLL = 4000; // milliseconds between readings of what came since

export async function show(root, params, page) {
  const names = [params.run, ...(params.with ? JSON.parse(params.with) : [])];
  const short = shortNames(names);
  const read = () => Promise.all(names.map(async (name, i) => {
    const [described, data] = await Promise.all([get("run", { run: name }, page.signal), get("curves", { run: name }, page.signal)]);
    return { ...described, name, label: short[i], data };
  }));
  const state = { page, runs: await read(), asked: null };
  const [main] = state.runs;
  document.title = `${main.label} · selfplay`;
  for (const part of ["head", "workers", "between", "curves", "checks"]) state[part] = h("div", {});
  root.append(h("h1", {}, main.name), links(main, page), h("section", { class: "card" }, state.head), state.between, state.curves,
    h("section", { class: "card" }, h("h2", {}, "The doctor"), doctorButton(state), state.checks),
    more(main, page), state.workers, h("section", { class: "card" }, settings(main)));
  const drawCurves = curveBoard(state.curves);
  await overlays(state, names);
  drawCurves(state.runs);
  draw(state);
  repeat(async () => {
    const runs = await read();
    if (JSON.stringify(runs) === JSON.stringify(state.runs)) return;
    state.runs = runs;
    drawCurves(runs);
    draw(state);
  }, POLL, page);
}

function links(run, page) {
  const link = (text, screen, params) => h("a", { href: page.link(screen, params) }, text);
  return h("p", { class: "row" },
    link("Games", "games", { run: run.name }), link("Play against it", "play", { player: run.name }),
    link("Replay examples", "replay", { run: run.name }), link("Oversee", "oversee", { run: run.name }),
    h("span", { class: "quiet" }, run.checkpoints.length ? `checkpoints: ${run.checkpoints.slice(-8).map((step) => count(step)).join(", ")}` : "no checkpoint yet"));
}

// What may change while the run goes on.
function draw(state) {
  const [main] = state.runs;
  const shown = { ...main, verdict: state.asked || main.verdict };
  clear(state.head, problems(main, main.data), h("p", {}, main.summary), facts(shown), evaluationOf(main),
    h("details", { open: state.head.querySelector("details")?.open }, h("summary", {}, `Settings that differ from the preset (${main.differs.length})`), differing(main)));
  clear(state.checks, diagnosis(shown));
  clear(state.workers, workersOf(main));
}

// The choice of other runs to draw over this one, and what differs between them.
async function overlays({ page, runs, between }, [name, ...others]) {
  const known = (await get("runs", {}, page.signal)).runs.map((run) => run.name).filter((one) => one !== name && !others.includes(one));
  const go = (overlaid) => page.go("run", { run: name, with: overlaid.length ? JSON.stringify(overlaid) : "" });
  const select = h("select", { "aria-label": "Draw another run over this one", onchange: () => go([...others, select.value]) },
    h("option", { value: "" }, "overlay a run …"), known.map((one) => h("option", { value: one }, one)));
  clear(between, h("div", { class: "row curve-controls" }, known.length > 0 && select,
    others.map((one, i) => h("button", { type: "button", onclick: () => go(others.filter((other) => other !== one)) }, `without ${runs[i + 1].label}`))),
  others.length > 0 && h("section", { class: "card" }, differences(runs)));
}

function doctorButton(state) {
  const said = h("span", { class: "quiet", role: "status" });
  const asker = new Asker(state.page, (note) => { said.textContent = note; });
  const examine = async () => {
    button.disabled = true;
    said.textContent = "asked";
    const found = await asker.put((options) => ask("doctor", { run: state.runs[0].name }, options));
    button.disabled = false;
    if (!found) return;
    state.asked = { ...found, sentence: sentenceOf(found), isOfPage: true };
    draw(state);
  };
  const button = h("button", { type: "button", onclick: examine }, "Ask the doctor now");
  return h("p", { class: "row" }, button, said, h("span", { class: "quiet" }, "It takes a minute or two: some checks train."));
}

// What takes a while to read: only when somebody wants to see it.
function more(run, page) {
  const place = h("div", {});
  const reading = new Asker(page);
  const read = async () => {
    if (place.children.length) return;
    clear(place, h("p", { class: "quiet" }, "reading the replay"));
    const found = await reading.put(({ signal }) => get("measured", { run: run.name }, signal));
    clear(place, found && measured(found));
  };
  return h("section", { class: "card" }, h("details", { ontoggle: read }, h("summary", {}, "Values beside outcomes, and mistakes by ply"), place));
}
