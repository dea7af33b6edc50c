// One plot: curves with bands, drawn by uPlot, and a legend that says what they are at the cursor.

import { clear, h, s } from "../lib/dom.js";
import { indexAt, number, short } from "./curvedata.js";

/* global uPlot */

const COLOURS = 6;
const HEIGHT = 210;

// A plot whose data may be replaced, in `root`.
//
//   const plot = new Plot(root, { onPick });   onPick(x) gets the x next to a click
//   plot.draw({ title, meaning, unit, across, entries, log, percent, range, sync, onDraw, onCursor });
//
// An entry is a curve: {label, x, y, low, high, colour, dash, points}; `low` and `high` are a band, `points: "only"`
// leaves the line out. `range` is [low, high] of the y axis. `plot.read(x)` fills the legend.
export class Plot {
  constructor(root, { onPick } = {}) {
    Object.assign(this, { root, onPick, entries: [] });
    new ResizeObserver(() => this.fit()).observe(root);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => root.isConnected && this.draw(this.shown));
  }

  draw(shown) {
    this.destroy();
    this.shown = shown;
    if (!shown) return clear(this.root);
    this.entries = shown.entries.map((entry, k) =>
      ({ dash: [], ...entry, colour: colourOf(entry.colour ?? k), value: h("b", { title: entry.title }) }));
    const isCurve = this.entries.some(({ y, points }) => points || y.filter((value) => value != null).length > 1);
    const place = h("div", { class: "chart" });
    clear(this.root,
      shown.title && h("h3", {}, shown.title), shown.meaning && h("p", { class: "quiet" }, shown.meaning), legend(this.entries),
      isCurve ? place : h("p", { class: "quiet" }, "Measured once so far: a curve takes two."));
    if (!isCurve) return this.read(Infinity);
    this.chart = chart(place, this);
    this.fit();
    this.read(Infinity);
    return undefined;
  }

  // The legend's numbers at x, or at the end.
  read(x) {
    const form = this.shown.percent ? (value) => (value == null ? "–" : `${(100 * value).toFixed(1)}%`) : number;
    for (const entry of this.entries) {
      const at = indexAt(entry, Number.isFinite(x) ? x : entry.x.at(-1));
      const bounds = entry.low?.[at] == null ? "" : ` [${form(entry.low[at])}, ${form(entry.high[at])}]`;
      entry.value.textContent = at < 0 ? "–" : form(entry.y[at]) + bounds;
    }
  }

  fit() {
    const width = this.chart?.root.parentElement?.clientWidth;
    if (width && width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
  }

  destroy() {
    if (this.chart && this.shown.sync) this.shown.sync.unsub(this.chart);
    this.chart?.destroy();
    this.chart = null;
  }
}

// Draws one plot that does not change: `series` of label, x, values, and perhaps low and high.
export function plotCard({ title, meaning, axis, across, series }) {
  const box = h("section", { class: "card plot" });
  const entries = series.map(({ label, x, values, low, high }) => {
    const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b]);
    const by = (column) => column && order.map((i) => column[i]);
    return { label, x: by(x), y: by(values), low: by(low), high: by(high) };
  });
  new Plot(box).draw({ title, meaning, unit: axis, across, entries });
  return box;
}

function chart(place, plot) {
  const { unit = "", across, log, percent, range, sync, onDraw, onCursor } = plot.shown;
  const { data, series, bands } = tablesOf(plot.entries, log);
  const [ink, line] = [styled("--quiet"), styled("--line")];
  const font = "12px system-ui, sans-serif";
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font, labelFont: font, labelSize: 18 };
  const ticks = (u, values) => values.map((value) => (value != null && percent ? `${Number((100 * value).toPrecision(3))}%` : short(value)));
  const widened = (u, low, high) => (low === high ? [low - 0.5, high + 0.5] : [low, high]);
  const hear = (u) => {
    if (u.cursor.left < 0) return plot.read(Infinity);
    const x = u.posToVal(u.cursor.left, "x");
    plot.read(x);
    return onCursor?.(x);
  };
  const drawn = new uPlot({
    width: 300, height: HEIGHT, series, bands, legend: { show: false },
    cursor: { drag: { x: !plot.onPick, y: false }, y: false, points: { size: 6 }, ...(sync && { sync: { key: sync.key, scales: ["x", null] } }) },
    scales: { x: { time: false, range: widened }, y: { ...(log && { distr: 3 }), ...(range && { range }) } },
    axes: [{ ...axis, label: across, size: 32, values: (u, values) => values.map(short) }, { ...axis, label: unit, size: 54, values: ticks }],
    hooks: { setCursor: [hear], draw: onDraw ? [onDraw] : [] },
  }, data, place);
  drawn.over.addEventListener("click", () => plot.onPick?.(drawn.data[0][drawn.cursor.idx]));
  return drawn;
}

// Returns data, series and bands for uPlot: curves of one x side by side, others joined by it.
function tablesOf(entries, log) {
  const shown = (column) => (log ? column.map((value) => (value > 0 ? value : null)) : column);
  const series = [{}], bands = [];
  const tables = entries.map(({ x, y, low, high, colour, dash, label, points }) => {
    const isOnly = points === "only";
    const at = series.push({ label, stroke: colour, width: isOnly ? 0 : 2, dash, ...(points && { points: { show: true, size: 7, fill: colour } }) }) - 1;
    if (!low || !high) return [x, shown(y)];
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    series.push({ ...hidden }, { ...hidden });
    bands.push({ series: [at + 2, at + 1], fill: `${colour}29` });
    return [x, shown(y), shown(low), shown(high)];
  });
  return { data: uPlot.join(tables), series, bands };
}

// What each line is, with its value at the cursor; of several runs in their colours.
function legend(entries) {
  const labels = [...new Set(entries.map(({ label }) => label))];
  return h("div", { class: "legend" }, labels.map((label) => {
    const of = entries.filter((entry) => entry.label === label);
    for (const { value, colour } of of) value.style.color = of.length > 1 ? colour : "";
    return h("span", {}, swatch(of.length > 1 ? styled("--ink") : of[0].colour, of[0].dash), " ", label, " ", of.map(({ value }) => value));
  }));
}

export function swatch(colour, dash = []) {
  return s("svg", { width: 22, height: 8, class: "swatch", "aria-hidden": "true" },
    s("line", { x1: 0, y1: 4, x2: 22, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") }));
}

export function styled(name) {
  return getComputedStyle(document.body).getPropertyValue(name).trim();
}

// Returns a colour by its number, or by the name of a variable of the style.
export function colourOf(index) {
  return styled(typeof index === "number" ? `--curve${index % COLOURS}` : index);
}
