// The value along a game, as a graph that one can click.
//
//   const graph = new ValueGraph(root, { onGo });   onGo(ply)
//   graph.draw({ points: [{ply, value, exact, text}], plies, ply, mistakes: [{ply, value, excused}], sides });
//
// Values are of seat 0, from -1 to 1; `sides` says whose win is the top, and whose the bottom.

import { clear, h } from "../lib/dom.js";
import { Plot, styled } from "../curves/chart.js";

export class ValueGraph {
  constructor(root, { onGo }) {
    this.root = root;
    this.caption = h("p", { class: "graph-caption quiet" });
    this.plot = new Plot(h("div", { class: "value-graph" }), { onPick: onGo });
    clear(root, this.plot.root, this.caption);
  }

  draw({ points, plies, ply, mistakes, sides: [top, bottom] }) {
    const x = Array.from({ length: plies + 1 }, (_, k) => k);
    const along = (found) => {
      const by = new Map(found.map((one) => [one.ply, one.value]));
      return x.map((at) => by.get(at) ?? null);
    };
    const dots = (label, found, colour) => found.length > 0 && { label, x, y: along(found), colour, points: "only" };
    const tell = (at) => {
      const known = points.find((point) => point.ply === Math.round(at));
      this.caption.textContent = known?.text ?? `after ${plural(Math.round(at))}: not searched yet`;
    };
    this.plot.draw({
      unit: `${bottom} – ${top}`, across: "moves", range: [-1.05, 1.05], onCursor: tell,
      entries: [
        { label: "value", x, y: along(points), colour: "--ink", points: true },
        dots("perfect play", points.filter(({ exact }) => exact), "--good"),
        dots("mistakes", mistakes.filter(({ excused }) => !excused), "--bad"),
        dots("the result was kept", mistakes.filter(({ excused }) => excused), "--warn"),
      ].filter(Boolean),
      onDraw: ({ ctx, bbox, valToPos }) => {
        ctx.fillStyle = styled("--focus");
        ctx.fillRect(valToPos(ply, "x", true), bbox.top, window.devicePixelRatio, bbox.height);
      },
    });
    tell(ply);
  }
}

export function plural(moves) {
  return moves === 1 ? "1 move" : `${moves} moves`;
}
