// The value along a game, as a graph that one can click.
//
//   const graph = new ValueGraph(root, { onGo });   onGo(ply)
//   graph.draw({ points: [{ply, value, visits, exact, text}], plies, ply, mistakes: [{ply, value, seat, excused}], sides });
//
// Values are of seat 0, from -1 to 1; `sides` says whose win is the top, and whose the bottom.
// An `exact` one is that of perfect play, and drawn as a square; an `excused` mistake is a faint mark.
// Points of few visits are faint: a search of a few simulations is hardly more than a guess.

import { clear, h, s } from "../lib/dom.js";

const GRAPH_HEIGHT = 150;
const PAD = { left: 12, right: 12, top: 12, bottom: 20 };
const SURE = 100; // visits from which on a point is not faint

export class ValueGraph {
  constructor(root, { onGo }) {
    this.root = root;
    this.onGo = onGo;
    this.shown = null;
    this.caption = h("p", { class: "graph-caption quiet" });
    this.svg = s("svg", { class: "value-graph", height: GRAPH_HEIGHT, role: "img",
      onclick: (event) => this.onGo(this.plyAt(event)),
      pointermove: (event) => this.point(this.plyAt(event)),
      pointerleave: () => this.point(null) });
    this.legend = h("p", { class: "graph-legend quiet small" },
      "■ exact, by perfect play · ● by the search · ▲ ▼ a mistake, and which way the value went; grey: the search sees one, but the exact result was kept");
    clear(root, this.svg, this.caption, this.legend);
    new ResizeObserver(() => this.shown && this.draw(this.shown)).observe(root);
  }

  draw(shown) {
    this.shown = shown;
    this.width = Math.max(200, this.root.clientWidth);
    const { points, plies, ply, mistakes, sides } = shown;
    this.legend.hidden = !points.some(({ exact }) => exact);
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${GRAPH_HEIGHT}`);
    this.svg.setAttribute("aria-label", `Value along the game: ${points.length} of ${plies + 1} positions known`);
    this.cursor = s("line", { class: "graph-cursor", y1: PAD.top, y2: GRAPH_HEIGHT - PAD.bottom });
    clear(this.svg,
      s("rect", { class: "graph-ground", x: PAD.left, y: PAD.top, width: this.width - PAD.left - PAD.right, height: GRAPH_HEIGHT - PAD.top - PAD.bottom }),
      s("line", { class: "graph-zero", x1: PAD.left, x2: this.width - PAD.right, y1: this.y(0), y2: this.y(0) }),
      s("line", { class: "graph-now", x1: this.x(ply), x2: this.x(ply), y1: PAD.top, y2: GRAPH_HEIGHT - PAD.bottom }),
      this.cursor,
      this.pieces(points),
      points.map((point) => this.dot(point)),
      mistakes.map((mistake) => this.flag(mistake)),
      this.words(sides, plies));
    this.point(null);
  }

  // Lines between neighbours that are known, as faint as the fainter one.
  pieces(points) {
    return points.slice(1).map((point, k) => {
      const before = points[k];
      const near = point.ply - before.ply === 1;
      return s("line", { class: near ? "graph-line" : "graph-line gap", x1: this.x(before.ply), y1: this.y(before.value),
        x2: this.x(point.ply), y2: this.y(point.value), opacity: Math.min(trust(point.visits), trust(before.visits)) });
    });
  }

  dot({ ply, value, visits, exact }) {
    const [x, y] = [this.x(ply), this.y(value)];
    if (exact) return s("rect", { class: "graph-point exact", x: x - 3, y: y - 3, width: 6, height: 6 });
    return s("circle", { class: "graph-point", cx: x, cy: y, r: 3, opacity: trust(visits) });
  }

  flag({ ply, value, seat, excused }) {
    const [x, y] = [this.x(ply), this.y(value)];
    const up = seat === 0 ? 1 : -1; // points to where the value went: down for seat 0
    const tip = y + 12 * up;
    return s("polygon", { class: `${excused ? "graph-excused" : "graph-mistake"} seat${seat}`, points: `${x},${tip} ${x - 5},${tip - 8 * up} ${x + 5},${tip - 8 * up}` });
  }

  words([top, bottom], plies) {
    const text = (x, y, anchor, content) => s("text", { x, y, "text-anchor": anchor, class: "graph-text" }, content);
    return [
      text(PAD.left + 4, PAD.top + 13, "start", top),
      text(PAD.left + 4, GRAPH_HEIGHT - PAD.bottom - 5, "start", bottom),
      text(PAD.left, GRAPH_HEIGHT - 5, "start", "0"),
      text(this.width - PAD.right, GRAPH_HEIGHT - 5, "end", plural(plies)),
    ];
  }

  point(ply) {
    const at = ply ?? this.shown.ply;
    const known = this.shown.points.find((point) => point.ply === at);
    this.cursor.setAttribute("x1", this.x(at));
    this.cursor.setAttribute("x2", this.x(at));
    this.cursor.setAttribute("visibility", ply === null ? "hidden" : "visible");
    this.caption.textContent = known ? known.text : `after ${plural(at)}: not searched yet`;
  }

  plyAt(event) {
    const { left, width } = this.svg.getBoundingClientRect();
    const x = (event.clientX - left) * (this.width / width);
    const share = (x - PAD.left) / (this.width - PAD.left - PAD.right);
    return Math.round(Math.min(1, Math.max(0, share)) * this.shown.plies);
  }

  x(ply) {
    return PAD.left + (ply / Math.max(1, this.shown.plies)) * (this.width - PAD.left - PAD.right);
  }

  y(value) {
    return PAD.top + ((1 - value) / 2) * (GRAPH_HEIGHT - PAD.top - PAD.bottom);
  }
}

export function plural(moves) {
  return moves === 1 ? "1 move" : `${moves} moves`;
}

function trust(visits) {
  return 0.25 + 0.75 * Math.min(1, visits / SURE);
}
