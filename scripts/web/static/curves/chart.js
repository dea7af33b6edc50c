// One plot: curves with bands, drawn by uPlot, and a legend that says what they are at the cursor.

import { clear, h, s } from "../lib/dom.js";
import { indexAt, number, short, sorted } from "./curvedata.js";

/* global uPlot */

const COLOURS = 6;
const HEIGHT = 210;

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

export function chart(place, entries, { unit, across, log, percent, sync, range, draw, onCursor }) {
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

// Returns data, series and bands for uPlot: curves of one x side by side, others joined by it.
export function tablesOf(entries, log) {
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

// What each line is, with its value at the cursor; of several runs in their colours.
export function legend(root, entries) {
  const labels = [...new Set(entries.map((entry) => entry.label))];
  return h("div", { class: "legend" }, labels.map((label) => {
    const of = entries.filter((entry) => entry.label === label);
    for (const entry of of) entry.value.style.color = of.length > 1 ? entry.colour : "";
    const colour = entries.length > labels.length ? styled(root, "--ink") : of[0].colour;
    return h("span", {}, swatch(colour, of[0].dash), " ", label, " ", of.map((entry) => entry.value));
  }));
}

export function swatch(colour, dash) {
  return s("svg", { width: 22, height: 8, class: "swatch", "aria-hidden": "true" },
    s("line", { x1: 0, y1: 4, x2: 22, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") }));
}

export function styled(root, name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

export function colourOf(root, index) {
  return styled(root, `--curve${index % COLOURS}`);
}

export function fit(card) {
  const width = card.chart?.root.parentElement?.clientWidth;
  if (width && width !== card.chart.width) card.chart.setSize({ width, height: HEIGHT });
}

export function readCard(card, x, form) {
  for (const entry of card.entries) {
    const at = indexAt(entry, x, entry.y);
    entry.value.textContent = at < 0 ? "–" : form(entry.y[at]);
  }
}
