// Boards of positions, asked once each.

import { ask } from "../lib/api.js";

const KEPT = 400;

// Returns what a seat of a position is called: its colour on the board, if that shows one.
export function seatInWords(position, seat) {
  return position?.seats?.[seat]?.name || (seat === 0 ? "first seat" : "second seat");
}

// Returns the same where it is said to do something: "red", "the first seat".
export function seatAsSubject(position, seat) {
  return position?.seats?.[seat]?.name || `the ${seatInWords(position, seat)}`;
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
