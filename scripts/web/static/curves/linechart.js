// Lines over numbers, small and without a library: a reading at the cursor, bands, and levels.
//
//   const chart = new LineChart(root, { label, height });
//   chart.draw({ x: "games", lines: [{ name, points: [[x, y]], band: [[x, low, high]], tone }], levels: [{ y, name }],
//                low, high, format });
// `tone` is 0 to 7, a colour. `low` and `high` are bounds that the axis has at least. `onPick(x)` of the options gets
// the x of the point nearest to a click.

import { clear, h, s } from "../lib/dom.js";

const CHART_MARGIN = { left: 46, right: 10, top: 10, bottom: 34 };
const CHART_LEAST_WIDTH = 200;

export class LineChart {
  constructor(root, { label, height = 190, onPick } = {}) {
    Object.assign(this, { root, label, height, onPick, data: null });
    this.box = h("div", { class: "chart-box" });
    this.reading = h("p", { class: "chart-reading quiet", "aria-hidden": "true" });
    clear(root, this.box, this.reading);
    root.classList.add("chart");
    this.box.addEventListener("pointermove", (event) => this.read(event));
    this.box.addEventListener("pointerleave", () => this.rest());
    this.box.addEventListener("click", (event) => this.pick(event));
    new ResizeObserver(() => this.paint()).observe(this.box);
  }

  draw(data) {
    this.data = data;
    this.paint();
  }

  paint() {
    if (!this.data) return;
    const width = Math.max(CHART_LEAST_WIDTH, Math.floor(this.box.clientWidth));
    this.scale = chartScale(this.data, width, this.height);
    const { lines, levels = [] } = this.data;
    this.cursor = s("line", { class: "chart-cursor", y1: CHART_MARGIN.top, y2: this.height - CHART_MARGIN.bottom, visibility: "hidden" });
    clear(this.box, s("svg", { width, height: this.height, viewBox: `0 0 ${width} ${this.height}`, role: "img", "aria-label": this.spoken() },
      this.grid(width),
      levels.map(({ y, name }) => this.level(y, name, width)),
      lines.filter(({ band }) => band).map((line) => this.band(line)),
      lines.map((line) => this.line(line)),
      this.cursor));
    this.rest();
  }

  grid(width) {
    const { x, y, ticksX, ticksY, format } = this.scale;
    const base = this.height - CHART_MARGIN.bottom;
    return [
      ticksY.map((value) => [
        s("line", { class: "chart-grid", x1: CHART_MARGIN.left, x2: width - CHART_MARGIN.right, y1: y(value), y2: y(value) }),
        s("text", { class: "chart-tick", x: CHART_MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value))]),
      ticksX.map((value) => s("text", { class: "chart-tick", x: x(value), y: base + 15, "text-anchor": "middle" }, shortNumber(value))),
      s("text", { class: "chart-tick", x: width - CHART_MARGIN.right, y: this.height - 1, "text-anchor": "end" }, this.data.x)];
  }

  level(value, name, width) {
    const at = this.scale.y(value);
    return [
      s("line", { class: "chart-level", x1: CHART_MARGIN.left, x2: width - CHART_MARGIN.right, y1: at, y2: at }),
      s("text", { class: "chart-tick", x: CHART_MARGIN.left + 4, y: at < 2 * CHART_MARGIN.top ? at + 13 : at - 4 }, name)];
  }

  line({ points, tone = 0 }) {
    const { x, y } = this.scale;
    const known = points.filter(([, value]) => value != null);
    const path = known.map(([at, value]) => `${x(at)},${y(value)}`).join(" ");
    const dots = known.length <= 40 ? known : [];
    return s("g", { class: `tone-${tone}` },
      s("polyline", { class: "chart-line", points: path }),
      dots.map(([at, value]) => s("circle", { class: "chart-dot", cx: x(at), cy: y(value), r: 2.5 })));
  }

  band({ band, tone = 0 }) {
    const { x, y } = this.scale;
    const upper = band.map(([at, , high]) => `${x(at)},${y(high)}`);
    const lower = band.map(([at, low]) => `${x(at)},${y(low)}`).reverse();
    return s("polygon", { class: `chart-band tone-${tone}`, points: [...upper, ...lower].join(" ") });
  }

  read(event) {
    const at = this.nearest(event);
    if (at == null) return;
    this.cursor.setAttribute("visibility", "visible");
    for (const name of ["x1", "x2"]) this.cursor.setAttribute(name, this.scale.x(at));
    const { lines, x } = this.data;
    clear(this.reading, `${shortNumber(at)} ${x}: `, lines.map(({ name, points, band, tone = 0 }) => {
      const point = points.find(([place]) => place === at);
      const bounds = band?.find(([place]) => place === at);
      const range = bounds ? ` (${this.scale.format(bounds[1])} to ${this.scale.format(bounds[2])})` : "";
      return point && point[1] != null && [chartKey(name, tone), ` ${this.scale.format(point[1])}${range} `];
    }));
  }

  rest() {
    this.cursor?.setAttribute("visibility", "hidden");
    clear(this.reading, this.data.lines.map(({ name, tone = 0 }) => [chartKey(name, tone), " "]));
  }

  pick(event) {
    const at = this.nearest(event);
    if (at != null && this.onPick) this.onPick(at);
  }

  // Returns the x of the point nearest to an event.
  nearest(event) {
    const places = this.data?.lines.flatMap(({ points }) => points.map(([x]) => x)) || [];
    const left = event.clientX - this.box.getBoundingClientRect().left;
    const distance = (place) => Math.abs(this.scale.x(place) - left);
    return places.reduce((best, place) => (best == null || distance(place) < distance(best) ? place : best), null);
  }

  spoken() {
    const last = this.data.lines.map(({ name, points }) => {
      const known = points.filter(([, value]) => value != null);
      return known.length ? `${name} ${this.scale.format(known[known.length - 1][1])}` : "";
    });
    return `${this.label}, at the end: ${last.filter(Boolean).join(", ")}`;
  }
}

// Returns a name with its line's colour.
export function chartKey(name, tone) {
  return h("span", { class: "chart-key" }, h("span", { class: `chart-swatch tone-${tone}` }), name);
}

function chartScale({ lines, levels = [], low, high, format }, width, height) {
  const xs = lines.flatMap(({ points }) => points.map(([x]) => x));
  const ys = [
    ...lines.flatMap(({ points, band = [] }) => [...points.map(([, y]) => y), ...band.flatMap(([, a, b]) => [a, b])]),
    ...levels.map(({ y }) => y), low, high].filter((value) => value != null);
  const [x0, x1] = spanOf(xs);
  const [y0, y1] = spanOf(ys);
  const room = [width - CHART_MARGIN.left - CHART_MARGIN.right, height - CHART_MARGIN.top - CHART_MARGIN.bottom];
  const digits = y1 - y0 >= 20 ? 0 : y1 - y0 >= 2 ? 1 : 2;
  return {
    x: (value) => CHART_MARGIN.left + (room[0] * (value - x0)) / (x1 - x0),
    y: (value) => CHART_MARGIN.top + (room[1] * (y1 - value)) / (y1 - y0),
    ticksX: ticksOf(x0, x1, Math.max(2, Math.floor(room[0] / 90))),
    ticksY: ticksOf(y0, y1, 5),
    format: format || ((value) => value.toFixed(digits).replace("-", "−")),
  };
}

function spanOf(values) {
  if (!values.length) return [0, 1];
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

// Returns round numbers between two, about as many as wanted.
function ticksOf(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, k) => (first + k) * step);
}

function shortNumber(value) {
  return Math.abs(value) >= 1e6 ? `${+(value / 1e6).toFixed(2)}M` : Math.abs(value) >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : String(+value.toFixed(2));
}
