// What a search found in a position, as a table: move, value, visits, prior, and how play would go on.
//
//   const table = new Candidates(root, { onPreview, onPlay });
//   table.draw(analysis, seatName, mark);  what op `analyse` answers; null empties it. `mark` stands at its best move
//
// Pointing at a move calls onPreview(actions, isWalked) with the line up to it, null at the end; `isWalked` if the
// move is one of the expected line. A click calls onPlay(actions, names).

import { clear, h, percent, signed } from "../lib/dom.js";

const FIRST = 8; // moves shown before somebody asks for more
const LEAST = 0.005; // a move with less prior, and not visited, is hidden at first

export class Candidates {
  constructor(root, { onPreview, onPlay }) {
    Object.assign(this, { root, onPreview, onPlay });
  }

  draw(analysis, seatName, mark) {
    if (!analysis) return clear(this.root);
    const { candidates, best } = analysis;
    const most = Math.max(1, ...candidates.map(({ visits }) => visits));
    const rows = (some) => some.map((one) => this.row(one, most, one.action === best && mark));
    const isShown = ({ visits, prior }, k) => k === 0 || (k < FIRST && (visits > 0 || prior >= LEAST));
    const others = candidates.filter((one, k) => !isShown(one, k));
    const body = h("tbody", {}, rows(candidates.filter(isShown)));
    const more = h("button", { type: "button", class: "link", onclick: () => { more.remove(); body.append(...rows(others)); } }, `All ${candidates.length} moves`);
    const head = ["Move", `Value for ${seatName}`, "Visits", "Prior", "Expected line"].map((text) => h("th", { scope: "col" }, text));
    return clear(this.root,
      h("div", { class: "wide" }, h("table", { class: "candidates" }, h("thead", {}, h("tr", {}, head)), body)), others.length > 0 && more);
  }

  row({ action, name, line = [], names = [], visits, q, prior }, most, mark) {
    const [actions, words] = line.length ? [line, names] : [[action], [name]];
    const steps = actions.map((_, k) => this.step(actions.slice(0, k + 1), words.slice(0, k + 1)));
    return h("tr", { class: mark && "best", onpointerleave: () => this.onPreview(null) },
      h("th", { scope: "row", onpointerenter: () => this.onPreview(actions) }, steps[0], mark && h("span", { class: "best-mark" }, mark)),
      h("td", {}, q == null || !visits ? "–" : signed(q)),
      h("td", {}, h("meter", { max: most, value: visits }), ` ${visits}`),
      h("td", {}, percent(prior)),
      h("td", { class: "expected" }, steps.slice(1)));
  }

  // A move of a line: pointing at it shows the line up to it, a click plays it.
  step(line, names) {
    const isWalked = line.length > 1;
    const point = () => this.onPreview(line, isWalked);
    return h("button", { type: "button", class: isWalked ? "line-move" : "line-move head", title: `play ${names.join(" ")}`,
      onpointerenter: isWalked && point, onfocus: point, onblur: () => this.onPreview(null), onclick: () => this.onPlay(line, names) }, names.at(-1));
  }
}
