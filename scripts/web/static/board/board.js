// A board of any game that one can click, and what is drawn on top of it.
//
//   const board = new Board(root, { onMove, label });
//   board.show(position);    what op `position` answers; null empties the board
//   board.disable();         it only shows from now on; board.enable() takes clicks again
//   board.heat(entries, kind);  numbers of moves of the position: [{action, value, weight, text, best}]
//                            kind "share": value from 0 to 1; kind "value": from -1 to 1.
//                            weight (0 to 1, default 1) is how far it can be trusted: small ones are faint.
//                            null takes it away; heatLegend(kind) returns the scale that explains it
//   board.line(steps);       numbers of a variation: [{places, seat, number}], places as placesOf gives them
//                            from the position in which the move is played; null takes it away
//   board.marks(list);       rings: [{action, kind}], kind "best" | "played" | "hint"; null takes them away
//   board.focus();           the keyboard's focus onto the board
//
// `root` is emptied and filled. `onMove(move)` gets one of position.moves. The k-th
// click must be on a move's k-th spot (dragging from one to the other does the same). Another click
// starts over. Tab goes through what can be clicked, Enter clicks, Escape takes clicks back. Where clicks cannot tell moves apart there are buttons.

import { clear, h, s, svgFrom } from "../lib/dom.js";

const MOST_ARROWS = 12; // more of them hide the board
const LEAST_NUMBER = 9; // pixels of a number that can be read
const MOST_NUMBER = 26; // and of one that does not shout
// Light to dark blue, and orange to blue through white: told apart with any colour vision.
const SHARE_STOPS = [[222, 235, 247], [107, 174, 214], [8, 69, 148]];
const VALUE_STOPS = [[179, 88, 6], [247, 247, 247], [33, 102, 172]];
const STEP_COLOURS = ["#14507f", "#a34700"]; // of seats that the board shows in no colour

export class Board {
  constructor(root, { onMove, label } = {}) {
    this.root = root;
    this.onMove = onMove || (() => {});
    this.label = label || "Board";
    this.enabled = Boolean(onMove);
    this.position = null;
    this.chosen = [];
    this.hovered = null;
    this.cursor = null; // the spot that has, or last had, the keyboard's focus
    this.layers = { heat: null, marks: null, line: null };
    this.picture = h("div", { class: "board-picture" });
    this.choices = h("div", { class: "board-choices", role: "group", "aria-label": "Moves" });
    clear(root, this.picture, this.choices);
    root.classList.add("board-box");
    this.picture.addEventListener("mousedown", (event) => event.preventDefault()); // keys stay the page's
    this.picture.addEventListener("click", (event) => this.clicked(event));
    this.picture.addEventListener("pointerdown", (event) => { this.pressed = spotAt(event.target); });
    this.picture.addEventListener("pointerup", (event) => this.dropped(event));
    this.picture.addEventListener("pointerover", (event) => this.hover(spotAt(event.target)));
    this.picture.addEventListener("pointerleave", () => this.hover(null));
    this.picture.addEventListener("focusin", (event) => { this.cursor = spotAt(event.target); });
    this.picture.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.overlay()).observe(this.picture);
  }

  show(position) {
    this.position = position;
    this.chosen = [];
    this.hovered = null;
    this.layers = { heat: null, marks: null, line: null };
    if (!position) {
      clear(this.picture);
      clear(this.choices);
      return;
    }
    this.svg = svgFrom(position.svg);
    this.svg.setAttribute("role", "group"); // what is an "img" hides its parts from screen readers
    this.svg.setAttribute("aria-label", this.label);
    this.over = s("g", { class: "board-overlay", "pointer-events": "none", "aria-hidden": "true" });
    this.svg.append(this.over);
    clear(this.picture, this.svg);
    this.elements = new Map();
    for (const element of this.svg.querySelectorAll("[data-spot]")) {
      const key = element.getAttribute("data-spot");
      this.elements.set(key, [...(this.elements.get(key) || []), element]);
    }
    this.refresh();
  }

  enable() {
    this.enabled = true;
    this.refresh();
  }

  disable() {
    this.enabled = false;
    this.chosen = [];
    this.refresh();
  }

  heat(entries, kind = "share") {
    this.layers.heat = entries && { entries, kind };
    this.overlay();
  }

  line(steps) {
    this.layers.line = steps;
    this.overlay();
  }

  marks(list) {
    this.layers.marks = list;
    this.overlay();
  }

  // Focuses the spot that was focused last, or the first that can be clicked.
  focus() {
    const live = this.live();
    const key = live.has(this.cursor) ? this.cursor : [...live][0];
    this.elements?.get(key)?.[0].focus();
  }

  // The moves that the clicks so far leave.
  left() {
    return this.position.moves.filter((move) => this.fits(move));
  }

  fits(move) {
    return move.spots.length > 0 && this.chosen.every((key, k) => move.spots[k] === key);
  }

  // The spots that a next click may be on.
  live() {
    if (!this.position || !this.enabled) return new Set();
    return new Set(this.left().flatMap((move) => move.spots.slice(this.chosen.length, this.chosen.length + 1)));
  }

  choose(key) {
    if (!this.enabled || !this.position) return;
    if (this.live().has(key)) this.chosen.push(key);
    else if (this.chosen.includes(key)) this.chosen = [];
    else {
      this.chosen = [];
      if (this.live().has(key)) this.chosen = [key];
    }
    const left = this.chosen.length ? this.left() : [];
    if (left.length === 1 && left[0].spots.length === this.chosen.length) return this.play(left[0]);
    this.refresh();
  }

  play(move) {
    this.chosen = [];
    this.refresh();
    this.onMove(move);
  }

  clicked(event) {
    const key = spotAt(event.target);
    if (this.dragged) {
      this.dragged = false; // what a browser calls a click at the end of a drag
      return;
    }
    if (key !== null) this.choose(key);
    else this.forget();
  }

  dropped(event) {
    const from = this.pressed;
    const to = spotAt(document.elementFromPoint(event.clientX, event.clientY));
    this.pressed = null;
    this.dragged = false;
    if (from == null || to === null || from === to || !this.position) return;
    const starts = (move) => move.spots[0] === from && move.spots[1] === to;
    if (!this.enabled || !this.position.moves.some(starts)) return;
    this.chosen = [from];
    this.dragged = true;
    setTimeout(() => { this.dragged = false; });
    this.choose(to);
  }

  // Shows where a move is played whose spot has several parts, such as a column.
  hover(key) {
    const shown = key !== null && this.live().has(key) && this.elements.get(key).length > 1 ? key : null;
    if (shown === this.hovered) return;
    this.hovered = shown;
    this.overlay();
  }

  forget() {
    if (!this.chosen.length) return false;
    this.chosen = [];
    this.refresh();
    return true;
  }

  key(event) {
    const key = spotAt(event.target);
    if (event.key === "Escape") {
      if (this.forget()) return;
      this.cursor = null;
      document.activeElement.blur();
    } else if (key === null || !["Enter", " "].includes(event.key)) return;
    else this.choose(key);
    event.preventDefault();
  }

  // Marks what can be clicked, and offers buttons for what clicks cannot tell apart.
  refresh() {
    if (!this.position) return;
    const live = this.live();
    this.svg.classList.toggle("choosing", this.chosen.length > 0);
    for (const [key, elements] of this.elements) {
      const names = this.left().filter((move) => move.spots.includes(key)).map((move) => move.name);
      const open = live.has(key) || (this.enabled && this.chosen.includes(key));
      elements.forEach((element, k) => {
        element.classList.toggle("live", live.has(key));
        element.classList.toggle("part", elements.length > 1);
        element.classList.toggle("chosen", this.chosen.includes(key));
        const spoken = { role: "button", "aria-label": names.slice(0, 6).join(", "), tabindex: k ? -1 : 0 };
        for (const [name, value] of Object.entries(spoken)) {
          if (open) element.setAttribute(name, value);
          else element.removeAttribute(name);
        }
      });
    }
    this.offer();
    this.overlay();
    if (this.cursor !== null && live.has(this.cursor) && document.activeElement === document.body) this.focus();
  }

  offer() {
    const off = this.position.moves.filter((move) => !move.spots.length);
    const left = this.chosen.length ? this.left() : [];
    const alike = left.filter((move) => move.spots.length === this.chosen.length);
    const shown = this.enabled ? [...alike, ...off] : [];
    clear(this.choices, shown.map((move) =>
      h("button", { type: "button", class: "board-choice", title: move.name, "data-action": move.action, onclick: () => this.play(move) },
        move.label || move.name)));
    this.choices.hidden = !shown.length;
  }

  overlay() {
    if (!this.position) return;
    const box = this.svg.viewBox.baseVal;
    const scale = box && box.width ? this.svg.getBoundingClientRect().width / box.width : 1;
    const { heat, marks, line } = this.layers;
    const steps = line || [];
    this.badge();
    clear(this.over,
      heat && !steps.length ? this.heated(heat, scale) : [],
      marks ? marks.flatMap(({ action, kind }) => ringed(placesOf(this.position, action), kind)) : [],
      this.hovered !== null && !steps.length ? ringed([this.position.spots[this.hovered]], "hover") : [],
      numbered(steps, this.position));
  }

  // Shows what is known of moves without a spot on their buttons.
  badge() {
    const { heat, marks } = this.layers;
    for (const button of this.choices.children) {
      const action = Number(button.dataset.action);
      const entry = heat?.entries.find((one) => one.action === action);
      const isBest = entry?.best || marks?.some((one) => one.action === action && ["best", "hint"].includes(one.kind));
      button.classList.toggle("best", Boolean(isBest));
      button.querySelector(".choice-heat")?.remove();
      if (!entry?.text) continue;
      const badge = h("span", { class: "choice-heat" }, entry.text);
      const { fill, ink } = heatColour(entry.value, heat.kind);
      Object.assign(badge.style, { background: fill, color: ink });
      button.append(badge);
    }
  }

  heated({ entries, kind }, scale) {
    const placed = entries
      .map((entry) => ({ weight: 1, ...entry, places: placesOf(this.position, entry.action) }))
      .filter((entry) => entry.places.length)
      .sort((a, b) => a.weight * Math.abs(a.value) - b.weight * Math.abs(b.value));
    const dots = new Map(); // of moves that share a spot, the heaviest
    for (const entry of placed.filter(({ places }) => places.length === 1)) dots.set(String(entry.places[0]), entry);
    const far = placed.filter(({ places }) => places.length > 1).slice(-MOST_ARROWS);
    return [
      ...far.flatMap((entry) => arrow(entry, kind)),
      ...[...dots.values()].flatMap((entry) => dot(entry, kind, scale)),
    ];
  }
}

// Returns where a move of a position is drawn: [x, y, radius] of each of its spots.
export function placesOf(position, action) {
  const move = position.moves.find((one) => one.action === action);
  return move ? move.spots.map((key) => position.spots[key]).filter(Boolean) : [];
}

// Returns the colour of a number: of a share from 0 to 1, or of a value from -1 to 1.
export function heatColour(value, kind) {
  const stops = kind === "value" ? VALUE_STOPS : SHARE_STOPS;
  const at = Math.min(1, Math.max(0, kind === "value" ? (value + 1) / 2 : value));
  const place = at * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[low].map((from, k) => Math.round(from + (place - low) * (stops[low + 1][k] - from)));
  return { fill: `rgb(${mixed.join(" ")})`, ink: inkOn(mixed) };
}

// Returns the scale of a heat map, to stand under a board.
export function heatLegend(kind, [low, high] = kind === "value" ? ["−1 loses", "+1 wins"] : ["0%", "100%"]) {
  const parts = Array.from({ length: 11 }, (_, k) => (kind === "value" ? k / 5 - 1 : k / 10));
  return h("span", { class: "heat-legend" }, low,
    s("svg", { viewBox: "0 0 110 10", width: 110, height: 10, "aria-hidden": "true" },
      parts.map((value, k) => s("rect", { x: 10 * k, y: 0, width: 10, height: 10, fill: heatColour(value, kind).fill }))),
    high);
}

function dot({ places: [[x, y, r]], value, weight, text, best }, kind, scale) {
  const { fill, ink } = heatColour(value, kind);
  const size = 0.92 * r;
  const opacity = 0.25 + 0.7 * Math.min(1, weight);
  const shapes = [s("circle", { cx: x, cy: y, r: size, fill, "fill-opacity": opacity, class: "heat-dot" })];
  if (best) shapes.push(s("circle", { cx: x, cy: y, r: size, class: "heat-best" }));
  if (text) {
    const fontOf = (shown) => Math.min(0.95 * r, (2.3 * r) / shown.length, MOST_NUMBER / scale);
    const shown = [text, text.replace("%", "")].find((one) => fontOf(one) * scale >= LEAST_NUMBER);
    if (shown) shapes.push(label(x, y, fontOf(shown), shown, ink));
  }
  return shapes;
}

// A move of several spots: a line through them with its number on the way, so that moves to one
// place can be told apart.
function arrow({ places, value, weight, text, best }, kind) {
  const { fill, ink } = heatColour(value, kind);
  const [[x0, y0, r], [x1, y1]] = [places[0], places[places.length - 1]];
  const opacity = 0.4 + 0.55 * Math.min(1, weight);
  const share = 0.66;
  const [x, y, size] = [x0 + share * (x1 - x0), y0 + share * (y1 - y0), 0.4 * r];
  const points = places.map(([px, py]) => `${px},${py}`).join(" ");
  const shapes = [s("polyline", { points, class: "heat-arrow", stroke: fill, "stroke-opacity": opacity,
    "stroke-width": r * (0.1 + 0.25 * Math.min(1, weight)) })];
  shapes.push(s("circle", { cx: x1, cy: y1, r: 0.2 * r, fill, "fill-opacity": opacity, class: "heat-dot" }));
  if (text) {
    shapes.push(s("circle", { cx: x, cy: y, r: size, fill, "fill-opacity": Math.max(0.75, opacity), class: "heat-dot" }));
    shapes.push(label(x, y, Math.min(size, (2.3 * size) / text.length), text, ink));
  }
  if (best) shapes.push(s("circle", { cx: x, cy: y, r: size, class: "heat-best" }));
  return shapes;
}

function ringed(places, kind) {
  return places.map(([x, y, r]) => s("circle", { cx: x, cy: y, r: 0.96 * r, class: `mark mark-${kind}` }));
}

// Discs with the numbers of a variation; the later of two in one place stands beside the earlier.
function numbered(steps, { seats }) {
  const taken = new Map();
  return steps.flatMap(({ places, seat, number }) => {
    if (!places.length) return [];
    const fill = seats?.[seat]?.fill || STEP_COLOURS[seat];
    const [x, y, r] = places[places.length - 1];
    const before = taken.get(`${x},${y}`) || 0;
    taken.set(`${x},${y}`, before + 1);
    const [cx, cy, size] = before ? [x + 0.62 * r, y - 0.62 * r, 0.42 * r] : [x, y, 0.78 * r];
    const path = places.length > 1 && !before && s("polyline", {
      points: places.map(([px, py]) => `${px},${py}`).join(" "), class: "step-path", stroke: fill });
    return [path || [], s("circle", { class: "step", cx, cy, r: size, fill }),
      label(cx, cy, 1.1 * size, String(number), inkOn(rgbOf(fill)))].flat();
  });
}

function label(x, y, size, text, fill) {
  return s("text", { x, y: y + 0.35 * size, "font-size": size, "text-anchor": "middle", fill, class: "over-text" }, text);
}

// Returns black or white, whichever can be read on a colour.
function inkOn(rgb) {
  const [r, g, b] = rgb.map((part) => (part / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.25 ? "#111" : "#fff";
}

function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function spotAt(element) {
  return element?.closest?.("[data-spot]")?.getAttribute("data-spot") ?? null;
}
