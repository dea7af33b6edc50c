// What a network sees: all planes of an observation.

import { h } from "../lib/dom.js";
import { planeGrid } from "./planes.js";

const FIRST_PLANES = 32; // shown before somebody asks for more

// Returns op `planes`' answer as grids, each named by its number.
export function observationOf({ planes, none }) {
  const box = h("div", { class: "planes" });
  const draw = (count) => {
    box.replaceChildren(...planes.slice(0, count).map((plane, k) => planeGrid(plane, captionOf(plane, k, none[k]))));
    if (count < planes.length) {
      box.append(h("button", { type: "button", onclick: () => draw(planes.length) }, `All ${planes.length} planes`));
    }
  };
  draw(FIRST_PLANES);
  return box;
}

// A plane with one number says something of the whole board.
function captionOf(plane, k, none) {
  const values = new Set(plane.flat());
  const [only] = values;
  const everywhere = values.size === 1 && plane.flat().length > 1 ? `: ${only} everywhere` : "";
  return none ? `plane ${k}: NaN or infinity in ${none} cells` : `plane ${k}${everywhere}`;
}
