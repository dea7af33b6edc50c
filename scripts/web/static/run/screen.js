// A run while it trains: curves, what happened, the doctor, and ways to its games.

import { ask, get } from "../lib/api.js";
import { appendTo, shortNames } from "../curves/curvedata.js";
import { curveBoard } from "../curves/curves.js";
import { clear, count, h, waiting } from "../lib/dom.js";
import { diagnosis, differences, differing, evaluationOf, facts, measured, problems, sentenceOf, settings, workersOf } from "./runview.js";

const POLL = 4000; // milliseconds between questions for what came since
const DESCRIBE = 4; // every so many polls, what the run is
const ANEW = 40; // every so many polls, all curves: for marks, and so that points stay few
const MOST_POINTS = 4000;
export const title = "Run";

export async function show(root, params, page) {
  const names = [params.run, ...othersOf(params)];
  const state = { page, root, runs: [], polls: 0 };
  state.runs = await Promise.all(names.map((name) => read(name, page)));
  const short = shortNames(names);
  state.runs.forEach((run, i) => { run.label = short[i]; });
  const [main] = state.runs;
  document.title = `${main.label} · selfplay`;
  state.head = h("section", { class: "card" });
  state.doctor = h("section", { class: "card" });
  state.workers = h("div", {});
  state.between = h("div", {});
  const curves = h("section", {});
  root.append(h("h1", {}, main.name), links(main, page), state.head, state.between, curves, state.doctor, more(main, page), state.workers,
    h("section", { class: "card" }, settings(main)));
  state.board = curveBoard(curves, page.signal);
  state.board.show(state.runs);
  state.doctor.append(h("h2", {}, "The doctor"), doctorButton(state), state.checks = h("div", {}));
  await overlays(state);
  draw(state);
  poll(state);
}

function othersOf(params) {
  try {
    const others = JSON.parse(params.with || "[]");
    return Array.isArray(others) ? others.map(String) : [];
  } catch {
    return [];
  }
}

async function read(name, page) {
  const [described, data] = await Promise.all([get("run", { run: name }, page.signal), get("curves", { run: name }, page.signal)]);
  return { ...described, name, label: name, data };
}

function links(run, page) {
  return h("p", { class: "row" },
    h("a", { href: page.link("games", { run: run.name }) }, "its games"),
    h("a", { href: page.link("play", { player: run.name }) }, "play against it"),
    h("a", { href: page.link("replay", { run: run.name }) }, "its replay, row by row"),
    h("a", { href: page.link("oversee", { run: run.name }) }, "decide for it"),
    h("span", { class: "quiet" }, run.checkpoints.length ? `checkpoints: ${run.checkpoints.slice(-8).map((step) => count(step)).join(", ")}` : "no checkpoint yet"));
}

// What may change while the run goes on.
function draw(state) {
  const [main] = state.runs;
  const shown = { ...main, verdict: state.asked || main.verdict };
  clear(state.head, problems(main, main.data), h("p", {}, main.summary), facts(shown), evaluationOf(main),
    h("details", { open: state.head.querySelector("details")?.open }, h("summary", {}, `Settings that differ from the preset (${main.differs.length})`), differing(main)));
  clear(state.checks, diagnosis(shown));
  const workers = workersOf(main);
  clear(state.workers, workers ? [workers] : []);
}

// The choice of other runs to draw over this one, and what differs between them.
async function overlays(state) {
  const { page, runs } = state;
  const known = (await get("runs", {}, page.signal)).runs.map((run) => run.name).filter((name) => !runs.some((run) => run.name === name));
  const go = (others) => page.go("run", { run: runs[0].name, with: others.length ? JSON.stringify(others) : "" });
  const others = runs.slice(1).map((run) => run.name);
  const select = h("select", { "aria-label": "Draw another run over this one", onchange: () => go([...others, select.value]) },
    h("option", { value: "" }, "overlay a run …"), known.map((name) => h("option", { value: name }, name)));
  clear(state.between, h("div", { class: "row curve-controls" }, known.length ? select : null,
    others.map((name) => h("button", { type: "button", onclick: () => go(others.filter((one) => one !== name)) }, `without ${shortNames([runs[0].name, name])[1]}`))),
  others.length ? h("section", { class: "card" }, differences(runs)) : null);
}

function doctorButton(state) {
  const [main] = state.runs;
  const said = h("span", { class: "quiet", role: "status" });
  const button = h("button", { type: "button", onclick: examine }, "Ask the doctor now");
  async function examine() {
    button.disabled = true;
    const wait = waiting((text) => { said.textContent = text && `${text}; leaving this page stops it`; }, state.page.signal);
    try {
      const found = await ask("doctor", { run: main.name }, {
        signal: state.page.signal, onNote: wait.tell,
      });
      state.asked = { ...found, sentence: sentenceOf(found), isOfPage: true };
      draw(state);
    } catch (error) {
      if (!state.page.signal.aborted) state.page.fail(error);
    } finally {
      wait.end();
      button.disabled = false;
    }
  }
  return h("p", { class: "row" }, button, said, h("span", { class: "quiet" }, "It takes a minute or two: some checks train."));
}

// What takes a while to read: only when somebody wants to see it.
function more(run, page) {
  const place = h("div", {});
  const box = h("details", {}, h("summary", {}, "Values beside outcomes, and mistakes by ply"), place);
  box.addEventListener("toggle", async () => {
    if (!box.open || place.children.length) return;
    clear(place, h("p", { class: "quiet" }, "reading the replay"));
    try {
      clear(place, measured(await get("measured", { run: run.name }, page.signal), page.signal));
    } catch (error) {
      clear(place);
      if (!page.signal.aborted) page.fail(error);
    }
  });
  return h("section", { class: "card" }, box);
}

function poll(state) {
  const { page } = state;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      await update(state);
      state.root.querySelector(":scope > .lost")?.remove();
    } catch (error) {
      if (!page.signal.aborted && !state.root.querySelector(":scope > .lost")) {
        state.root.prepend(h("p", { class: "error lost", role: "alert" }, error.message));
      }
    } finally {
      busy = false;
    }
  }, POLL);
  page.signal.addEventListener("abort", () => clearInterval(timer));
}

async function update(state) {
  const { page, runs } = state;
  state.polls++;
  let grown = false, anew = false;
  for (const run of runs) {
    const old = run.data.columns.step?.length || 0;
    const came = await get("metrics", { run: run.name, offset: run.data.offset }, page.signal);
    if (state.polls % ANEW === 0 || old > MOST_POINTS || !appendTo(run.data, came)) {
      run.data = await get("curves", { run: run.name }, page.signal);
      anew = true;
    } else {
      grown ||= Object.keys(came.columns).some((name) => came.columns[name].length) || Object.keys(came.evaluations).length > 0 || came.events.length > 0;
    }
  }
  if (anew) state.board.show(runs);
  else if (grown) state.board.grow();
  if (state.polls % DESCRIBE === 0 || anew) {
    const [main] = runs;
    const described = await get("run", { run: main.name }, page.signal);
    if (JSON.stringify({ ...main, ...described }) !== JSON.stringify(main)) {
      Object.assign(main, described);
      draw(state);
    }
  }
}
