// Curves of runs: plots that share a cursor, and what every curve says where it is.

import { choice, clear, h } from "../lib/dom.js";
import { colourOf, Plot, swatch } from "./chart.js";
import { number, smoothed, xOf } from "./curvedata.js";
import { drawEvents, eventsNear, eventsTable } from "./marks.js";

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
  { title: "Window", unit: "examples", from: "columns", keys: /^window$/, exact: true, meaning: "The newest examples, from which training draws its batches." },
];
const AXES = [["minutes", "minutes"], ["iteration", "iterations"], ["positions", "positions"], ["simulations", "simulations"]];
const SMOOTHINGS = [["0", "none"], ["0.01", "1%"], ["0.025", "2.5%"], ["0.1", "10%"]];
const DASHES = [[], [7, 4], [2, 3], [10, 4, 2, 4], [5, 2, 1, 2]];

// Shows the curves of runs in `root`. Each run has `name`, `label` and `data`, as /api/curves gives.
// Returns show(runs), which draws them, and draws them again when their data have changed.
export function curveBoard(root) {
  const board = {
    runs: [], plots: new Map(), axis: "minutes", log: false, smooth: 0.025, marks: true, sync: uPlot.sync("curves"),
    at: h("p", { class: "quiet", role: "status" }), names: h("p", { class: "legend" }), grid: h("div", { class: "plots" }), events: h("div", {}),
  };
  const change = (name, value) => { board[name] = value; drawAll(board); };
  const tick = (label, name) => h("label", { class: "tick" },
    h("input", { type: "checkbox", checked: board[name], onchange: (event) => change(name, event.target.checked) }), " ", label);
  clear(root,
    h("div", { class: "row curve-controls" },
      choice("x axis", AXES, board.axis, (value) => change("axis", value)),
      choice("smoothing", SMOOTHINGS, String(board.smooth), (value) => change("smooth", Number(value))),
      tick("log scale of losses", "log"), tick("marks of events", "marks")),
    board.names, board.at, board.grid, board.events);
  return (runs) => { board.runs = runs; drawAll(board); };
}

function drawAll(board) {
  const { runs, axis } = board;
  const across = AXES.find(([key]) => key === axis)[1];
  clear(board.names, runs.length < 2 ? [] : runs.map((run, r) => h("span", {}, swatch(colourOf(r)), " ", run.label)));
  clear(board.at, runs.filter((run) => !xOf(run, "columns", axis)?.length).map((run) => (run.data.lines
    ? `${run.label}: its moves are not chosen by a search: it has no axis of ${axis}. ` : `${run.label}: no iteration is done yet. `)));
  for (const about of PLOTS) {
    const entries = entriesOf(board, about);
    if (!entries.length) continue;
    if (!board.plots.has(about)) board.plots.set(about, new Plot(h("section", { class: "card plot" })));
    const plot = board.plots.get(about);
    const zoom = plot.chart && plot.shown.across === across && zoomOf(plot.chart);
    plot.draw({ ...about, entries, across, log: about.log && board.log, sync: board.sync,
      onDraw: (u) => board.marks && drawEvents(u, runs, axis),
      onCursor: (x) => clear(board.at, `At ${number(x)} ${across}. `, eventsNear(runs, axis, x, plot.chart.scales.x)) });
    if (zoom) plot.chart?.setScale("x", zoom);
  }
  clear(board.grid, PLOTS.filter((about) => entriesOf(board, about).length).map((about) => board.plots.get(about).root));
  for (const plot of board.plots.values()) plot.fit();
  eventsTable(board.events, runs, axis);
}

// Returns what part of its curves a chart shows, null if all.
function zoomOf({ scales: { x: { min, max } }, data: [xs] }) {
  return min > xs[0] || max < xs.at(-1) ? { min, max } : null;
}

function entriesOf({ runs, axis, smooth }, { from, keys: wanted, exact }) {
  const isKnown = (key) => wanted.test(key) && !/\.(low|high)$/.test(key) && runs.some((run) => run.data[from]?.[key]?.some((value) => value != null));
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.data[from] || {})))].filter(isKnown);
  const isMany = runs.length > 1;
  return runs.flatMap((run, r) => {
    const x = xOf(run, from, axis), columns = run.data[from];
    if (!x?.length) return [];
    const ends = ["columns", "evaluations"].flatMap((part) => xOf(run, part, axis) || []);
    const span = [Math.min(...ends), Math.max(...ends)];
    return keys.filter((key) => columns[key]).map((key) => {
      const k = keys.indexOf(key);
      return { span, x, y: smoothed(columns[key], from === "columns" && !exact ? smooth : 0), low: columns[`${key}.low`], high: columns[`${key}.high`],
        label: labelOf(key), title: run.label, colour: isMany ? r : k, dash: isMany ? DASHES[k % DASHES.length] : [] };
    });
  });
}

function labelOf(key) {
  const named = { kl: "kl", gained: "Elo gained", "gap/own": "own", "gap/fresh": "fresh", "gap/probe": "probe" };
  return named[key] || key.replace(/^loss_/, "").replace(/\//g, ", ").replace(/_/g, " ");
}
