// Curves of runs: plots that share a cursor, and what every curve says where it is.

import { clear, h } from "../lib/dom.js";
import { chart, colourOf, fit, legend, readCard, swatch, tablesOf } from "./chart.js";
import { indexAt, inPercent, labelOf, number, smoothed, spanOf, xOf } from "./curvedata.js";
import { drawEvents, eventsTable, tellEvents } from "./marks.js";

/* global uPlot */

// Which columns are drawn together. `keys` finds them; `log` ones may be shown on a logarithmic scale.
const PLOTS = [
  { title: "Evaluations", unit: "mistake rate, or score", from: "evaluations", keys: /^(mistakes\/.*|score)$/, percent: true,
    meaning: "What a run is for: mistakes against perfect play fall, or the score against random moves rises." },
  { title: "Rating", unit: "Elo gained", from: "evaluations", keys: /^gained$/,
    meaning: "Against the run's own past: every gain over the best weights before, added up, with the 95% interval of the last gain." },
  { title: "Losses", unit: "nats; squared return", from: "columns", keys: /^(policy_loss|value_loss)$/, log: true,
    meaning: "Both should fall, then level off. They can fall while play does not improve." },
  { title: "KL(search, network)", unit: "KL(search || network), nats", from: "columns", keys: /^kl$/, log: true,
    meaning: "How far search moves the policy. At 0 there is nothing left to teach." },
  { title: "Entropy of the policy", unit: "nats", from: "columns", keys: /^entropy$/,
    meaning: "Falls as the network makes up its mind. Near 0 early on, exploration is too weak." },
  { title: "Amplification gap", unit: "KL, nats", from: "evaluations", keys: /^gap\//, log: true,
    meaning: "Without noise: on positions of the network's own games, of games against random moves (fresh), and on the same random ones throughout (probe)." },
  { title: "What search adds, what is kept", unit: "Elo over the bare network", from: "evaluations", keys: /^(amplified|distilled)$/,
    meaning: "amplified: the same weights with search. distilled: the bare network against the search of the weights measured before." },
  { title: "Losses of targets", unit: "loss", from: "columns", keys: /^loss_/, log: true,
    meaning: "Of what is learned beside policy and value, without their weights." },
  { title: "Value of finished games", unit: "(value − outcome)²", from: "columns", keys: /^value_error$/,
    meaning: "How well the playing network foresaw the results of its own games." },
  { title: "Length of games", unit: "plies", from: "columns", keys: /^game_plies$/,
    meaning: "A sudden change often means that one side has found, or forgotten, something." },
  { title: "Speed", unit: "positions per second", from: "columns", keys: /^positions_per_second$/,
    meaning: "Of the whole loop: self-play, training, evaluation and saving." },
  { title: "Games", unit: "per second", from: "columns", keys: /^games_per_second$/, meaning: "Finished games, of the whole loop." },
  { title: "Gradient norm", unit: "", from: "columns", keys: /^gradient_norm$/, log: true, meaning: "Mean over the training steps of an iteration." },
  { title: "Learning rate", unit: "", from: "columns", keys: /^learning_rate$/, exact: true, meaning: "It falls by its schedule, and after NaN." },
  { title: "Window", unit: "rows", from: "columns", keys: /^window$/, exact: true, meaning: "The newest rows, from which training draws." },
];
const AXES = [["minutes", "minutes"], ["iteration", "iterations"], ["positions", "positions"], ["simulations", "simulations"]];
const SMOOTHINGS = [["0", "none"], ["0.01", "1%"], ["0.025", "2.5%"], ["0.1", "10%"]];
const DASHES = [[], [7, 4], [2, 3], [10, 4, 2, 4], [5, 2, 1, 2]];
const COUNTERS = ["minutes", "iteration", "step", "games", "positions", "tflop"];

// Shows the curves of runs in `root`. Each run has `name`, `label` and `data`, as /api/curves gives.
// Returns { show(runs), grow() }: `grow` draws anew what was appended to the runs' data.
export function curveBoard(root, signal) {
  const board = {
    root, signal, runs: [], cards: [], axis: "minutes", log: false, smooth: 0.025, at: null, marks: true,
    sync: uPlot.sync(`board-${boardNumber++}`),
  };
  board.readings = h("div", { class: "readings" });
  board.names = h("p", { class: "legend" });
  board.plots = h("div", { class: "plots" });
  board.events = h("div", {});
  board.slider = h("input", {
    type: "range", min: 0, max: 1000, value: 1000, "aria-label": "Cursor: read all curves here",
    oninput: () => moveCursor(board, Number(board.slider.value) / 1000),
  });
  clear(root,
    h("div", { class: "row curve-controls" },
      pick("x axis", AXES, board.axis, (value) => { board.axis = value; board.at = null; rebuild(board); }),
      pick("smoothing", SMOOTHINGS, String(board.smooth), (value) => { board.smooth = Number(value); rebuild(board); }),
      tick("log scale of losses", board.log, (on) => { board.log = on; rebuild(board); }),
      tick("marks of events", board.marks, (on) => { board.marks = on; rebuild(board); }),
      h("label", { class: "field grow" }, h("span", {}, "cursor"), board.slider)),
    board.names,
    h("div", { class: "curve-layout" }, board.plots, board.readings),
    board.events);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => rebuild(board), { signal });
  const resized = new ResizeObserver(() => board.cards.forEach((card) => fit(card)));
  resized.observe(board.plots);
  board.seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = board.cards.find((one) => one.box === entry.target);
      if (!card) continue;
      card.visible = entry.isIntersecting;
      if (card.visible && card.stale) redraw(board, card);
    }
  });
  signal?.addEventListener("abort", () => {
    resized.disconnect();
    board.seen.disconnect();
    dropCards(board);
  });
  return {
    show: (runs) => { board.runs = runs; rebuild(board); },
    grow: () => grow(board),
  };
}

let boardNumber = 0;

function pick(label, options, value, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) },
    options.map(([key, name]) => h("option", { value: key, selected: key === value }, name)));
  return h("label", { class: "field" }, h("span", {}, label), select);
}

function tick(label, on, onchange) {
  const box = h("input", { type: "checkbox", checked: on, onchange: () => onchange(box.checked) });
  return h("label", { class: "tick" }, box, " ", label);
}

// Returns the keys of a plot that some run has a value of.
function keysOf(runs, plot) {
  const names = new Set(runs.flatMap((run) => Object.keys(run.data[plot.from] || {})));
  return [...names].filter((name) => plot.keys.test(name) && !/\.(low|high)$/.test(name)
    && runs.some((run) => run.data[plot.from][name]?.some((value) => value != null)));
}

function dropCards(board) {
  for (const card of board.cards) {
    if (card.chart) board.sync.unsub(card.chart);
    card.chart?.destroy();
    board.seen.unobserve(card.box);
  }
  board.cards = [];
}

function rebuild(board) {
  dropCards(board);
  clear(board.plots);
  board.range = rangeOf(board);
  clear(board.names, board.runs.length < 2 ? [] : board.runs.map((run, r) =>
    h("span", {}, swatch(colourOf(board.root, r), []), " ", run.label)));
  const without = board.runs.filter((run) => !xOf(run, "columns", board.axis)?.length);
  for (const run of board.runs.length ? without : []) {
    const why = run.data.lines ? `its moves are not chosen by a search: it has no axis of ${board.axis}` : "no iteration is done yet";
    board.plots.append(h("p", { class: "quiet" }, `${run.label}: ${why}`));
  }
  for (const plot of PLOTS) {
    const keys = keysOf(board.runs, plot);
    if (!keys.length) continue;
    const card = { plot, keys, box: h("section", { class: "card plot" }), visible: true };
    card.entries = entriesOf(board, card);
    if (!card.entries.length) continue;
    card.box.append(h("h3", {}, plot.title), h("p", { class: "quiet" }, plot.meaning), legend(board.root, card.entries));
    board.plots.append(card.box);
    board.cards.push(card);
    if (!isCurve(card.entries)) {
      card.box.append(h("p", { class: "quiet" }, "Measured once so far: a curve takes two."));
      continue;
    }
    const place = card.box.appendChild(h("div", { class: "chart" }));
    card.chart = chart(place, card.entries, {
      unit: plot.unit, across: AXES.find(([key]) => key === board.axis)[1], log: plot.log && board.log,
      percent: plot.percent, sync: board.sync, range: () => board.range,
      draw: (u) => drawEvents(board, u), onCursor: (x) => readAll(board, x),
    });
    board.seen.observe(card.box);
  }
  readTable(board);
  eventsTable(board);
  for (const card of board.cards) fit(card);
  readAll(board, board.at ?? board.range[1]);
}

// Whether a line can be drawn: of one number a chart says less than the number.
function isCurve(entries) {
  return entries.some((entry) => entry.y.filter((value) => value != null).length > 1);
}

function rangeOf(board) {
  const ends = board.runs.flatMap((run) => spanOf(board, run));
  if (!ends.length) return [0, 1];
  const low = Math.min(...ends), high = Math.max(...ends);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function entriesOf(board, card) {
  const { plot, keys } = card;
  return board.runs.flatMap((run, r) => {
    const x = xOf(run, plot.from, board.axis), columns = run.data[plot.from];
    if (!x?.length) return [];
    return keys.filter((key) => columns[key]).map((key) => {
      const k = keys.indexOf(key), many = board.runs.length > 1;
      const smooth = plot.from === "columns" && !plot.exact ? board.smooth : 0;
      const found = card.entries?.find((entry) => entry.run === run.name && entry.key === key);
      return {
        run: run.name, span: spanOf(board, run), key, x, y: smoothed(columns[key], smooth), low: columns[`${key}.low`], high: columns[`${key}.high`],
        label: labelOf(key), colour: colourOf(board.root, many ? r : k), dash: many ? DASHES[k % DASHES.length] : [],
        value: found?.value || h("b", { title: run.label }),
      };
    });
  });
}

function grow(board) {
  const before = board.range;
  board.range = rangeOf(board);
  const known = new Set(board.cards.map((card) => card.plot.title));
  const missing = PLOTS.some((plot) => {
    const keys = keysOf(board.runs, plot);
    return keys.length && (!known.has(plot.title) || keys.length !== board.cards.find((card) => card.plot === plot).keys.length);
  });
  const begun = board.cards.some((card) => !card.chart && isCurve(entriesOf(board, card)));
  if (missing || begun || !board.cards.length) return rebuild(board);
  for (const card of board.cards) {
    card.stale = true;
    card.entries = entriesOf(board, card); // the legend tells of plots that are out of sight too
    if (card.visible) redraw(board, card);
  }
  eventsTable(board);
  if (board.at == null || board.at >= before[1]) readAll(board, board.range[1]);
  return undefined;
}

function redraw(board, card) {
  card.stale = false;
  if (!card.chart) return;
  const x = card.chart.scales.x, old = card.chart.data[0];
  const zoomed = x.min > Math.min(old[0], board.range[0]) || x.max < old.at(-1);
  card.chart.setData(tablesOf(card.entries, card.plot.log && board.log).data, !zoomed);
  if (zoomed) card.chart.redraw();
}

function moveCursor(board, share) {
  const charts = board.cards.map((card) => card.chart).filter(Boolean);
  if (!charts.length) return;
  const [low, high] = board.range;
  const x = low + share * (high - low);
  for (const one of charts) one.setCursor({ left: one.valToPos(x, "x"), top: 0 }, false);
  readAll(board, x);
}

function readAll(board, x) {
  board.at = x;
  if (board.reading) return;
  board.reading = requestAnimationFrame(() => {
    board.reading = null;
    const [low, high] = board.range;
    board.slider.value = Math.round(1000 * (board.at - low) / (high - low));
    for (const card of board.cards) readCard(card, board.at, card.plot.percent ? inPercent : number);
    const what = AXES.find(([key]) => key === board.axis)[1];
    if (board.place) board.place.textContent = `${number(board.at)} ${what}`;
    for (const { curve, cell, form } of board.cells || []) {
      const found = curve(), { y, low: bottom, high: top } = found;
      const at = indexAt(found, board.at, y);
      const range = bottom?.[at] == null || top?.[at] == null ? "" : ` [${form(bottom[at])}, ${form(top[at])}]`;
      cell.textContent = form(at < 0 ? null : y[at]) + range;
    }
    tellEvents(board);
  });
}

// The table of all curves at the cursor, as they are drawn.
function readTable(board) {
  board.cells = [];
  board.place = h("b", {});
  board.near = h("div", { class: "near" });
  const rows = [];
  const row = (label, form, curveOf) => rows.push(h("tr", {}, h("th", { scope: "row" }, label), board.runs.map((run) => {
    const cell = h("td", {});
    board.cells.push({ curve: () => curveOf(run) || {}, cell, form });
    return cell;
  })));
  for (const key of COUNTERS) {
    if (!board.runs.some((run) => run.data.columns[key]?.length)) continue;
    row(key === "tflop" ? "TFLOP" : key, number, (run) =>
      ({ x: xOf(run, "columns", board.axis), y: run.data.columns[key] || [], span: spanOf(board, run) }));
  }
  for (const card of board.cards) {
    for (const key of card.keys) {
      row((key.startsWith("gap/") ? "gap, " : "") + labelOf(key), card.plot.percent ? inPercent : number, (run) => card.entries.find((entry) => entry.run === run.name && entry.key === key));
    }
  }
  const names = board.runs.map((run, r) => h("th", { scope: "col" }, board.runs.length > 1 ? [swatch(colourOf(board.root, r), []), " "] : null, run.label));
  clear(board.readings, h("details", { open: window.innerWidth >= 1000 },
    h("summary", {}, "At the cursor: ", board.place),
    h("div", { class: "wide" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, ""), names)), h("tbody", {}, rows))),
    board.near));
}
