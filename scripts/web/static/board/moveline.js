// The moves to a position, with buttons to take back and start over.
//
//   const line = new MoveLine({ game, moves, onchange, onError, signal });
//   parent.append(line.element);
//   line.play(move);      as a board gives it;  line.back();  line.set(moves)
//   line.position         what op `position` answers there; onchange(position, moves) tells of a new one

import { ask } from "../lib/api.js";
import { capitalised, h } from "../lib/dom.js";
import { Positions, seatAsSubject } from "./positions.js";

export class MoveLine {
  constructor({ game, moves = [], onchange, onError, signal }) {
    Object.assign(this, { game, moves, onchange, onError, signal, position: null });
    this.positions = new Positions(game);
    this.told = h("span", {});
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    this.element = h("div", { class: "board-moves" },
      this.told,
      button("Back", "Takes the last move back", () => this.back()),
      button("Opening", "To the opening position", () => this.set([])));
  }

  begin() {
    return this.set(this.moves);
  }

  play(move) {
    return this.set([...this.moves, move.action]);
  }

  back() {
    return this.set(this.moves.slice(0, -1));
  }

  async set(moves) {
    const wanted = this.wanted = moves;
    try {
      const position = await this.positions.at(moves, { signal: this.signal });
      const { names } = moves.length ? await ask("names", { game: this.game, moves }, { signal: this.signal }) : { names: [] };
      if (this.wanted !== wanted) return; // another move was played meanwhile
      this.moves = moves;
      this.position = position;
      this.told.textContent = names.length ? `Moves: ${names.join(" ")}` : "Play moves on the board.";
      this.onchange(position, moves);
    } catch (error) {
      this.onError(error);
    }
  }
}

// Returns moves from text in an address.
export function movesFrom(text) {
  return (text || "").split(",").filter(Boolean).map(Number).filter(Number.isInteger);
}

// Returns who is to play, or how the game ended, in words.
export function turnInWords(position) {
  if (!position.over) return `${capitalised(seatAsSubject(position, position.to_play))} is to play.`;
  const [first] = position.returns;
  return `The game is over: ${first === 0 ? "drawn" : `${seatAsSubject(position, first > 0 ? 0 : 1)} has won`}.`;
}
