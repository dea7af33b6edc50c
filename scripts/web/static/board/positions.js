// Boards of positions, asked once each.

import { ask } from "../lib/api.js";
import { h } from "../lib/dom.js";

const KEPT = 400;

// Returns what a seat of a position is called: its colour on the board, if that shows one. position may be null.
export function seatNameOf(position, seat) {
  const name = position?.seats?.[seat]?.name || (seat === 0 ? "first seat" : "second seat");
  return name[0].toUpperCase() + name.slice(1);
}

// Returns the same where it is said to do something: "red", "the first seat".
export function seatAsSubject(position, seat) {
  return position?.seats?.[seat]?.name || `the ${seatNameOf(null, seat).toLowerCase()}`;
}

// Returns the buttons that walk through a game: `to(ply)` goes to one, `at()` and `end()` say where one is.
export function walkButtons(to, at, end) {
  const button = (text, label, ply) => h("button", { type: "button", class: "walk", title: label, "aria-label": label, onclick: () => to(ply()) }, text);
  return h("div", { class: "walks", role: "group", "aria-label": "Walk through the game" },
    button("|◀", "First position (Home)", () => 0), button("◀", "Back (Left)", () => at() - 1),
    button("▶", "Forward (Right)", () => at() + 1), button("▶|", "Last position (End)", end));
}

// Binds the keys that do the same.
export function walkKeys(page, to, at, end) {
  page.onKey("ArrowLeft", "one move back", () => to(at() - 1));
  page.onKey("ArrowRight", "one move forward", () => to(at() + 1));
  page.onKey("Home", "first position", () => to(0));
  page.onKey("End", "last position", () => to(end()));
}

export class Positions {
  constructor(game) {
    this.game = game;
    this.known = new Map();
  }

  // Returns what op `position` answers after these moves.
  async at(moves, { signal, onNote } = {}) {
    const key = moves.join();
    if (this.known.has(key)) return this.known.get(key);
    const position = await ask("position", { game: this.game, moves }, { signal, onNote });
    this.known.set(key, position);
    if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
    return position;
  }

  // Returns a variation in positions: those after each of its moves, the first one before all.
  async along(moves, line, options) {
    const found = [];
    for (let k = 0; k <= line.length; k += 1) found.push(await this.at([...moves, ...line.slice(0, k)], options));
    return found;
  }
}
