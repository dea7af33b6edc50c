// Curves of runs: plots that share a cursor, and what every curve says where it is.

import { clear, h, s, table } from "./dom.js";

/* global uPlot */

// Which columns are drawn together. `keys` finds them; `log` ones may be shown on a logarithmic scale.
const PLOTS = [
  { title: "Evaluations", unit: "mistake rate, or score", from: "evaluations", keys: /^(mistakes\/.*|score)$/, percent: true,
    meaning: "What a run is for: mistakes against perfect play fall, or the score against random moves rises." },
  { title: "Rating", unit: "Elo gained", from: "evaluations", keys: /^gained$/,
    meaning: "Against the run's own past: every gain over the best weights before, added up, with the 95% interval of the last gain." },
  { title: "Losses", unit: "nats; squared return", from: "columns", keys: /^(policy_loss|value_loss)$/, log: true,
    meaning: "Both should fall, then level off. They can fall while play does not improve." },
  { title: "What search still teaches", unit: "KL(search || network), nats", from: "columns", keys: /^kl$/, log: true,
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
// Marks of events: a letter, a variable of the style, and what they mean.
const MARKS = {
  resume: ["R", "--quiet", "went on"],
  rollback: ["N", "--bad", "back after NaN"],
  gate: ["G", "--good", "gate: new weights play"],
  kept: ["g", "--warn", "gate: old weights stay"],
  verdict: ["F", "--accent", "fixed point"],
  decisions: ["D", "--seat1", "an overseer's decisions"],
};
const DASHES = [[], [7, 4], [2, 3], [10, 4, 2, 4], [5, 2, 1, 2]];
const COUNTERS = ["minutes", "iteration", "step", "games", "positions", "tflop"];
const COLOURS = 6;
const FULL_MARKS = 40; // more events than this get ticks instead of lines
const HEIGHT = 210;

// Shows the curves of runs in `root`. Each run has `name`, `label` and `data`, as /api/curves gives.
// Returns { show(runs), grow(name), axis }: `grow` draws anew what was appended to a run's data.
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
    colour: (index) => colourOf(root, index),
  };
}

let boardNumber = 0;

// Draws one plot that does not change: `series` of label, x, values, and perhaps low and high.
export function plotCard(plot, signal) {
  const box = h("section", { class: "card plot" });
  const card = { box, entries: [], chart: null };
  const make = () => {
    card.entries = plot.series.map((one, i) => ({
      ...sorted(one), label: one.label, colour: colourOf(document.body, i), dash: [], value: h("b", {}),
    }));
    card.chart?.destroy();
    const place = h("div", { class: "chart" });
    clear(box, h("h3", {}, plot.title), h("p", { class: "quiet" }, plot.meaning), legend(box, card.entries), place);
    card.chart = chart(place, card.entries, {
      unit: plot.axis, across: plot.across, onCursor: (x) => readCard(card, x, number),
    });
    fit(card);
  };
  const resized = new ResizeObserver(() => fit(card));
  resized.observe(box);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", make, { signal });
  signal?.addEventListener("abort", () => { resized.disconnect(); card.chart?.destroy(); });
  queueMicrotask(make);
  return box;
}

// Returns the x values of a run's columns, or evaluations, on an axis; null where it has none.
export function xOf(run, from, axis) {
  const columns = run.data[from] || {};
  if (axis !== "simulations") return columns[axis] || null;
  const each = run.data.simulations;
  return each && columns.positions ? columns.positions.map((value) => value * each) : null;
}

// Adds what came since (as /api/metrics gives) to a run's data. Returns false where that cannot be:
// it has to be read anew.
export function appendTo(data, came) {
  if (came.restart) return false;
  const last = data.columns.iteration?.at(-1);
  const next = came.columns.iteration?.[0];
  if (last != null && next != null && next <= last) return false;
  for (const part of ["columns", "evaluations"]) {
    if (!Object.keys(came[part]).length) continue;
    data[part] ||= {};
    const before = Math.max(0, ...Object.values(data[part]).map((column) => column.length));
    const more = Math.max(0, ...Object.values(came[part]).map((column) => column.length));
    for (const name of new Set([...Object.keys(data[part]), ...Object.keys(came[part])])) {
      const column = data[part][name] ||= new Array(before).fill(null);
      column.push(...(came[part][name] || new Array(more).fill(null)));
    }
  }
  data.events.push(...came.events);
  data.damaged.push(...came.damaged);
  data.offset = came.offset;
  data.non_finite = came.non_finite;
  return true;
}

// Returns names of runs without the folders that all of them lie in.
export function shortNames(names) {
  const parts = names.map((name) => name.split("/"));
  let shared = 0;
  while (names.length > 1 && parts.every((one) => shared < one.length - 1 && one[shared] === parts[0][shared])) shared++;
  return parts.map((one) => one.slice(shared).join("/"));
}

// Numbers as curves are read.
export function number(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toPrecision(4)} G`;
  if (size >= 1e6) return `${(value / 1e6).toPrecision(4)} M`;
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size && size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

export function labelOf(key) {
  const named = { kl: "kl", gained: "Elo gained", "gap/own": "own", "gap/fresh": "fresh", "gap/probe": "probe" };
  return named[key] || key.replace(/^loss_/, "").replace(/\//g, ", ").replace(/_/g, " ");
}

function pick(label, options, value, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) },
    options.map(([key, name]) => h("option", { value: key, selected: key === value }, name)));
  return h("label", { class: "field" }, h("span", {}, label), select);
}

function tick(label, on, onchange) {
  const box = h("input", { type: "checkbox", checked: on, onchange: () => onchange(box.checked) });
  return h("label", { class: "tick" }, box, " ", label);
}

function styled(root, name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

function colourOf(root, index) {
  return styled(root, `--curve${index % COLOURS}`);
}

// Returns the keys of a plot that some run has a value of.
function keysOf(runs, plot) {
  const names = new Set(runs.flatMap((run) => Object.keys(run.data[plot.from] || {})));
  return [...names].filter((name) => plot.keys.test(name) && !/\.(low|high)$/.test(name)
    && runs.some((run) => run.data[plot.from][name]?.some((value) => value != null)));
}

function dropCards(board) {
  for (const card of board.cards) {
    board.sync.unsub(card.chart);
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
    const place = h("div", { class: "chart" });
    card.box.append(h("h3", {}, plot.title), h("p", { class: "quiet" }, plot.meaning), legend(board.root, card.entries), place);
    board.plots.append(card.box);
    card.chart = chart(place, card.entries, {
      unit: plot.unit, across: AXES.find(([key]) => key === board.axis)[1], log: plot.log && board.log,
      percent: plot.percent, sync: board.sync, range: () => board.range,
      draw: (u) => drawEvents(board, u), onCursor: (x) => readAll(board, x),
    });
    board.cards.push(card);
    board.seen.observe(card.box);
  }
  readTable(board);
  eventsTable(board);
  for (const card of board.cards) fit(card);
  readAll(board, board.at ?? board.range[1]);
}

// Where a run begins and ends on the axis; nothing if it has not begun.
function spanOf(board, run) {
  const ends = ["columns", "evaluations"].flatMap((from) => {
    const x = xOf(run, from, board.axis);
    return x?.length ? [x[0], x.at(-1)] : [];
  });
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : [];
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

// Returns means over the last `share` of a curve's points, at each of them; null stays null.
export function smoothed(values, share) {
  const width = Math.floor(values.length * share);
  if (width < 2) return values;
  let sum = 0, known = 0;
  return values.map((value, i) => {
    if (value != null) { sum += value; known++; }
    const old = i >= width ? values[i - width] : null;
    if (old != null) { sum -= old; known--; }
    return value == null || !known ? null : sum / known;
  });
}

function sorted(one) {
  const order = one.x.map((_, i) => i).sort((a, b) => one.x[a] - one.x[b]);
  const by = (column) => column && order.map((i) => column[i]);
  return { x: by(one.x), y: by(one.values), low: by(one.low), high: by(one.high) };
}

function swatch(colour, dash) {
  return s("svg", { width: 22, height: 8, class: "swatch", "aria-hidden": "true" },
    s("line", { x1: 0, y1: 4, x2: 22, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") }));
}

// What each line is, with its value at the cursor; of several runs in their colours.
function legend(root, entries) {
  const labels = [...new Set(entries.map((entry) => entry.label))];
  return h("div", { class: "legend" }, labels.map((label) => {
    const of = entries.filter((entry) => entry.label === label);
    for (const entry of of) entry.value.style.color = of.length > 1 ? entry.colour : "";
    const colour = entries.length > labels.length ? styled(root, "--ink") : of[0].colour;
    return h("span", {}, swatch(colour, of[0].dash), " ", label, " ", of.map((entry) => entry.value));
  }));
}

// Returns data, series and bands for uPlot: curves of one x side by side, others joined by it.
function tablesOf(entries, log) {
  const shown = (column) => (log ? column.map((value) => (value > 0 ? value : null)) : column);
  const groups = new Map();
  const series = [{}], bands = [];
  for (const entry of entries) {
    if (!groups.has(entry.x)) groups.set(entry.x, []);
    groups.get(entry.x).push(entry);
  }
  const tables = [...groups].map(([x, group]) => [x, ...group.flatMap((entry) => {
    const at = series.push({ label: entry.label, stroke: entry.colour, width: 2, dash: entry.dash, entry }) - 1;
    if (!entry.low || !entry.high) return [shown(entry.y)];
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    series.push({ ...hidden }, { ...hidden });
    bands.push({ series: [at + 2, at + 1], fill: withAlpha(entry.colour, 0.16) });
    return [shown(entry.y), shown(entry.low), shown(entry.high)];
  })]);
  return { data: tables.length === 1 ? tables[0] : uPlot.join(tables), series, bands };
}

function withAlpha(colour, alpha) {
  return /^#[0-9a-f]{6}$/i.test(colour) ? colour + Math.round(255 * alpha).toString(16).padStart(2, "0") : colour;
}

function chart(place, entries, { unit, across, log, percent, sync, range, draw, onCursor }) {
  const { data, series, bands } = tablesOf(entries, log);
  const ink = styled(place.isConnected ? place : document.body, "--quiet");
  const line = styled(document.body, "--line");
  const ticks = (u, values) => values.map((value) => (value == null ? "" : percent ? `${Number((100 * value).toPrecision(3))}%` : short(value)));
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
  const whole = (u, low, high) => {
    const x = u.data[0];
    if (range && low === x[0] && high === x.at(-1)) return range();
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  };
  const options = {
    width: 300, height: HEIGHT, series, bands, legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: true }, y: false, points: { size: 6 },
      ...(sync ? { sync: { key: sync.key, scales: ["x", null] } } : {}),
    },
    scales: { x: { time: false, range: whole }, y: log ? { distr: 3 } : {} },
    axes: [
      { ...axis, label: across, labelSize: 18, size: 32, values: (u, values) => values.map(short) },
      { ...axis, label: unit, labelSize: 18, size: 54, values: ticks },
    ],
    hooks: {
      setCursor: [(u) => { if (u.cursor.left >= 0) onCursor(u.posToVal(u.cursor.left, "x")); }],
      draw: draw ? [draw] : [],
    },
  };
  return new uPlot(options, data, place);
}

// Numbers as axes show them.
function short(value) {
  if (value == null) return "";
  const size = Math.abs(value);
  for (const [unit, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * (unit === 1e3 ? 10 : 1)) return `${Number((value / unit).toPrecision(3))}${sign}`;
  }
  return String(Number(value.toPrecision(3)));
}

function fit(card) {
  const width = card.chart?.root.parentElement?.clientWidth;
  if (width && width !== card.chart.width) card.chart.setSize({ width, height: HEIGHT });
}

function grow(board) {
  const before = board.range;
  board.range = rangeOf(board);
  const known = new Set(board.cards.map((card) => card.plot.title));
  const missing = PLOTS.some((plot) => {
    const keys = keysOf(board.runs, plot);
    return keys.length && (!known.has(plot.title) || keys.length !== board.cards.find((card) => card.plot === plot).keys.length);
  });
  if (missing || !board.cards.length) return rebuild(board);
  for (const card of board.cards) {
    card.stale = true;
    if (card.visible) redraw(board, card);
  }
  eventsTable(board);
  if (board.at == null || board.at >= before[1]) readAll(board, board.range[1]);
  return undefined;
}

function redraw(board, card) {
  card.stale = false;
  const x = card.chart.scales.x, old = card.chart.data[0];
  const zoomed = x.min > Math.min(old[0], board.range[0]) || x.max < old.at(-1);
  card.entries = entriesOf(board, card);
  card.chart.setData(tablesOf(card.entries, card.plot.log && board.log).data, !zoomed);
  if (zoomed) card.chart.redraw();
}

function moveCursor(board, share) {
  const card = board.cards[0];
  if (!card) return;
  const [low, high] = board.range;
  const x = low + share * (high - low);
  for (const one of board.cards) one.chart.setCursor({ left: one.chart.valToPos(x, "x"), top: 0 }, false);
  readAll(board, x);
}

// Returns the index of the value next to x in rising values.
export function nearest(values, x) {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - values[low - 1] < values[low] - x ? low - 1 : low;
}

// Returns the index of what a curve says at x; -1 where its run has ended, or not begun.
function indexAt({ x: values, span }, x) {
  if (!values?.length || (span && (x < span[0] || x > span[1]))) return -1;
  return nearest(values, x);
}

function readCard(card, x, form) {
  for (const entry of card.entries) {
    const at = indexAt(entry, x);
    entry.value.textContent = at < 0 ? "–" : form(entry.y[at]);
  }
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
      const at = indexAt(found, board.at);
      const range = bottom?.[at] == null || top?.[at] == null ? "" : ` [${form(bottom[at])}, ${form(top[at])}]`;
      cell.textContent = form(at < 0 ? null : y[at]) + range;
    }
    tellEvents(board);
  });
}

function inPercent(value) {
  return value == null ? "–" : `${(100 * value).toFixed(1)}%`;
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

// Returns the events of a run with where they are on the axis.
function eventsOf(board, run) {
  const minutes = run.data.columns.minutes || [], x = xOf(run, "columns", board.axis);
  if (!x?.length) return [];
  return run.data.events.map((event) => ({
    ...event, x: board.axis === "minutes" ? event.minutes : x[nearest(minutes, event.minutes)],
    mark: event.kind === "gate" && !event.promoted ? "kept" : event.kind,
  })).filter((event) => MARKS[event.mark]);
}

function drawEvents(board, u) {
  if (!board.marks) return;
  const { ctx, bbox } = u, ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  board.runs.forEach((run, r) => {
    const shown = eventsOf(board, run).filter((event) => event.x >= u.scales.x.min && event.x <= u.scales.x.max);
    const many = shown.length > FULL_MARKS;
    let labelled = -Infinity;
    for (const event of shown) {
      const [letter, variable] = MARKS[event.mark];
      const left = u.valToPos(event.x, "x", true);
      ctx.strokeStyle = ctx.fillStyle = styled(board.root, variable);
      ctx.lineWidth = ratio;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + (many || event.kind === "gate" ? 8 * ratio : bbox.height));
      ctx.stroke();
      if (left - labelled < 12 * ratio) continue;
      labelled = left;
      ctx.fillText(letter, left, bbox.top - (2 + 11 * r) * ratio);
    }
    // Evaluations: ticks at the foot.
    ctx.setLineDash([]);
    ctx.strokeStyle = board.runs.length > 1 ? colourOf(board.root, r) : styled(board.root, "--quiet");
    ctx.beginPath();
    for (const x of xOf(run, "evaluations", board.axis) || []) {
      if (x < u.scales.x.min || x > u.scales.x.max) continue;
      const left = u.valToPos(x, "x", true), foot = bbox.top + bbox.height - 5 * r * ratio;
      ctx.moveTo(left, foot);
      ctx.lineTo(left, foot - 4 * ratio);
    }
    ctx.stroke();
  });
  ctx.restore();
}

function tellEvents(board) {
  const reach = (board.range[1] - board.range[0]) / 100;
  const near = board.runs.flatMap((run) => eventsOf(board, run)
    .filter((event) => Math.abs(event.x - board.at) <= reach)
    .map((event) => h("p", {}, h("b", {}, MARKS[event.mark][0]), " ", event.text)));
  clear(board.near, near.slice(0, 6));
}

function eventsTable(board) {
  const all = board.runs.flatMap((run) => eventsOf(board, run).map((event) => [run, event]));
  all.sort(([, a], [, b]) => b.minutes - a.minutes);
  const used = Object.entries(MARKS).filter(([mark]) => all.some(([, event]) => event.mark === mark));
  const open = board.events.querySelector("details")?.open || false;
  clear(board.events, h("p", { class: "quiet" },
    used.map(([, [letter, , meaning]]) => [h("b", {}, letter), ` ${meaning} · `]), "ticks at the foot: evaluations",
    " · drag to zoom, double-click to see all"),
  all.length ? h("details", { open }, h("summary", {}, `What happened (${all.length})`),
    table(["minutes", "step", "", ...(board.runs.length > 1 ? ["run"] : [])], all.slice(0, 200).map(([run, event]) =>
      [number(event.minutes), number(event.step), event.text, ...(board.runs.length > 1 ? [run.label] : [])]))) : null);
}
