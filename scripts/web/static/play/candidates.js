// What a search found in a position, as a table: move, value, visits, prior, and how play would go on.
//
//   const table = new Candidates(root, { onPreview, onPlay });
//   table.draw(analysis, { chosen });  what op `analyse` answers; null empties it
//
// Resting on a move, or on one of its line, calls onPreview(actions) with the line so far, null at
// the end; the wheel walks along the line. A click calls onPlay(actions, names).

import { clear, h, percent, s, signed } from "../lib/dom.js";

const FIRST = 8; // moves shown before somebody asks for more
const NARROW = 400; // pixels
const WHEEL = 40; // what a wheel turns for one step
const SHORT = 2; // characters of names that leave room for a line beside its move
const LEAST = 0.005; // a move with less prior, and not visited, is hidden at first

export class Candidates {
  constructor(root, { onPreview, onPlay }) {
    Object.assign(this, { root, onPreview, onPlay, all: false, turned: 0, rested: null });
  }

  draw(analysis, seatName) {
    if (!analysis) {
      clear(this.root);
      return;
    }
    const worth = analysis.candidates.filter((one, k) => k < FIRST && (one.visits > 0 || one.prior >= LEAST || k === 0));
    const shown = this.all ? analysis.candidates : worth;
    const most = Math.max(1, ...analysis.candidates.map((one) => one.visits));
    const isLong = analysis.candidates.some((one) => one.name.length > SHORT) || this.root.clientWidth < NARROW;
    const head = ["Move", `Value for ${seatName}`, "Visits", "Prior", "Expected line"];
    const more = analysis.candidates.length > worth.length && h("button", { type: "button", class: "link",
      "aria-expanded": String(this.all), onclick: () => { this.all = !this.all; this.draw(analysis, seatName); } },
    this.all ? "Only the best" : `All ${analysis.candidates.length} moves`);
    clear(this.root,
      h("div", { class: "wide" }, h("table", { class: isLong ? "candidates long" : "candidates" },
        h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, shown.map((one) => this.row(one, most, one.action === analysis.best))))),
      more);
  }

  row(one, most, isBest) {
    const line = one.line?.length ? one.line : [one.action];
    const names = one.names?.length ? one.names : [one.name];
    const steps = line.map((_, k) => this.step(line, names, k));
    const row = h("tr", { class: isBest ? "best" : "",
      pointerleave: () => this.preview(null, null),
      pointermove: (event) => this.rest(event, line, steps),
      onwheel: (event) => this.walk(event, line, steps) },
    h("th", { scope: "row" }, steps[0], isBest && h("span", { class: "best-mark", title: "what it would play" }, "best")),
    h("td", { class: one.visits ? "" : "quiet" }, one.q == null ? "–" : signed(one.q)),
    h("td", {}, bar(one.visits / most), " ", String(one.visits)),
    h("td", {}, percent(one.prior)),
    h("td", { class: "expected" }, steps.slice(1)));
    return row;
  }

  // A move of a line: resting on it shows the line up to it, a click takes it.
  step(line, names, k) {
    const upTo = line.slice(0, k + 1);
    const button = h("button", { type: "button", class: k ? "line-move" : "line-move head",
      title: k ? `play ${names.slice(0, k + 1).join(" ")}` : `play ${names[0]}`,
      onfocus: () => button.matches(":focus-visible") && this.preview(k ? upTo : line, k ? button : null),
      onblur: () => this.preview(null, null),
      onclick: () => this.onPlay(upTo, names.slice(0, k + 1)) }, names[k]);
    return button;
  }

  // The pointer was moved, and not the table under it.
  rest(event, line, steps) {
    if (event.pointerType === "touch" || !(event.movementX || event.movementY)) return;
    const k = steps.findIndex((step) => step.contains(event.target));
    const place = `${line[0]} ${k}`;
    if (place === this.rested) return;
    if (k > 0) this.preview(line.slice(0, k + 1), steps[k]);
    else this.preview(line, null);
    this.rested = place;
  }

  walk(event, line, steps) {
    if (event.ctrlKey || line.length < 2) return;
    event.preventDefault();
    this.turned += event.deltaY;
    if (Math.abs(this.turned) < WHEEL) return;
    const at = steps.findIndex((step) => step.classList.contains("walked"));
    const next = Math.min(line.length - 1, Math.max(0, at + Math.sign(this.turned)));
    this.turned = 0;
    this.preview(line.slice(0, next + 1), steps[next], true);
  }

  preview(line, button, isWalk = false) {
    this.rested = null;
    for (const step of this.root.querySelectorAll(".walked")) step.classList.remove("walked");
    if (button) button.classList.add("walked");
    this.onPreview(line, Boolean(button) || isWalk);
  }
}

function bar(share) {
  return s("svg", { class: "visit-bar", viewBox: "0 0 40 8", width: 40, height: 8, "aria-hidden": "true" },
    s("rect", { x: 0, y: 0, width: Math.max(0, 40 * share), height: 8, rx: 2 }));
}
