// Planes of an observation as small grids.

import { h, s } from "../lib/dom.js";

const PLANE_CELL = 10;

// Returns numbers [H][W] as a grid: from 0 to 1 by how filled a cell is, below 0 in another colour.
export function planeGrid(plane, name) {
  const [height, width] = [plane.length, plane[0].length];
  const flat = plane.flat();
  const most = Math.max(1, ...flat.map(Math.abs));
  const cells = plane.flatMap((line, y) => line.map((value, x) => value !== 0 && s("rect", {
    class: value > 0 ? "plane-cell" : "plane-cell below", x: x * PLANE_CELL + 0.5, y: y * PLANE_CELL + 0.5, width: PLANE_CELL - 1, height: PLANE_CELL - 1,
    "fill-opacity": 0.12 + (0.88 * Math.abs(value)) / most }, s("title", {}, `row ${y}, column ${x}: ${Number(value.toFixed(4))}`))));
  const filled = flat.filter((value) => value !== 0).length;
  return h("figure", { class: "plane" },
    s("svg", { viewBox: `0 0 ${width * PLANE_CELL} ${height * PLANE_CELL}`, role: "img", "aria-label": `${name}: ${filled} of ${flat.length} cells are not 0` },
      s("rect", { class: "plane-back", width: width * PLANE_CELL, height: height * PLANE_CELL }),
      gridLines(width, height),
      cells.filter(Boolean)),
    h("figcaption", {}, name));
}

function gridLines(width, height) {
  const upright = Array.from({ length: width + 1 }, (_, x) => s("line", { class: "plane-line", x1: x * PLANE_CELL, x2: x * PLANE_CELL, y1: 0, y2: height * PLANE_CELL }));
  const level = Array.from({ length: height + 1 }, (_, y) => s("line", { class: "plane-line", x1: 0, x2: width * PLANE_CELL, y1: y * PLANE_CELL, y2: y * PLANE_CELL }));
  return [...upright, ...level];
}
