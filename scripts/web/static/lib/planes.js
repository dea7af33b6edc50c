// What a network sees: planes as small grids.
//
//   planesOf(planes, about)   planes: [C][H][W] numbers, null for what is none; about(k) names one

import { h, s } from "./dom.js";

const PLANE_CELL = 10;
const FIRST_PLANES = 32; // shown before somebody asks for more
const LEAST_INK = 0.12;

export function planesOf(planes, about = (k) => `plane ${k}`) {
  const box = h("div", { class: "planes" });
  const drawn = (plane, k) => h("figure", { class: "plane" }, gridOf(plane, about(k)), h("figcaption", {}, captionOf(plane, about(k))));
  const draw = (count) => {
    box.replaceChildren(...planes.slice(0, count).map(drawn));
    if (count < planes.length) {
      box.append(h("button", { type: "button", onclick: () => draw(planes.length) }, `All ${planes.length} planes`));
    }
  };
  draw(FIRST_PLANES);
  return box;
}

function gridOf(plane, name) {
  const [rows, cols] = [plane.length, plane[0].length];
  const largest = Math.max(1, ...plane.flat().map((value) => Math.abs(value || 0)));
  const cells = plane.flatMap((row, y) => row.map((value, x) => s("rect", {
    x: x * PLANE_CELL, y: y * PLANE_CELL, width: PLANE_CELL, height: PLANE_CELL,
    class: value == null ? "plane-none" : value < 0 ? "plane-below" : "plane-above",
    "fill-opacity": value === 0 ? 0 : value == null ? 1 : LEAST_INK + (1 - LEAST_INK) * Math.abs(value) / largest,
  }, s("title", {}, `row ${y}, column ${x}: ${value == null ? "no number" : value}`))));
  const lines = [
    ...Array.from({ length: rows + 1 }, (_, y) => `M0 ${y * PLANE_CELL}H${cols * PLANE_CELL}`),
    ...Array.from({ length: cols + 1 }, (_, x) => `M${x * PLANE_CELL} 0V${rows * PLANE_CELL}`),
  ].join("");
  return s("svg", { viewBox: `-1 -1 ${cols * PLANE_CELL + 2} ${rows * PLANE_CELL + 2}`, role: "img",
    "aria-label": `${name}: ${captionOf(plane, name)}` },
  cells, s("path", { d: lines, class: "plane-lines" }));
}

// A plane's name, and its number if it has only one: such planes say something of the whole board.
function captionOf(plane, name) {
  const values = new Set(plane.flat());
  const [only] = values;
  return values.size === 1 ? `${name}: ${only == null ? "no number" : only} everywhere` : name;
}
