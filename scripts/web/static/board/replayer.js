// A game on the board, move by move: slider, buttons and keys.

import { Asker } from "../lib/api.js";
import { Board } from "./board.js";
import { clear, h } from "../lib/dom.js";
import { Positions, seatNameOf, walkButtons, walkKeys } from "./positions.js";

// onShow(position, ply) after each step; onMove(action) when somebody plays on the board.
export class Replayer {
  constructor(root, page, { onShow, onMove }) {
    Object.assign(this, { onShow, moves: [], ply: 0, positions: null, asker: new Asker(page) });
    const picture = h("div", { class: "replay-board" });
    this.board = new Board(picture, { label: "The game's position", onMove: onMove && (({ action }) => onMove(action)) });
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Ply", oninput: () => this.go(Number(this.slider.value)) });
    this.where = h("p", { class: "replay-where", role: "status", "aria-live": "polite" });
    const walk = [(ply) => this.go(ply), () => this.ply, () => this.moves.length];
    clear(root, picture, this.where, this.slider, walkButtons(...walk));
    walkKeys(page, ...walk);
  }

  // Shows a line of moves of a game at a ply.
  set(game, moves, ply) {
    if (this.positions?.game !== game) this.positions = new Positions(game);
    this.moves = moves;
    this.slider.max = moves.length;
    return this.go(ply);
  }

  async go(ply) {
    if (!this.positions) return;
    this.ply = Math.min(Math.max(ply, 0), this.moves.length);
    this.slider.value = this.ply;
    const line = this.moves.slice(0, this.ply);
    const found = await this.asker.put(async (options) =>
      [line.length ? await this.positions.at(line.slice(0, -1), options) : null, await this.positions.at(line, options)]);
    if (found) this.show(...found);
  }

  show(before, position) {
    this.position = position;
    this.board.show(position);
    const last = before?.moves.find(({ action }) => action === this.moves[this.ply - 1]);
    this.where.textContent = `move ${this.ply} of ${this.moves.length}${last ? ` · ${last.name} by ${seatNameOf(before, before.to_play)}` : ""}${endOf(position)}`;
    this.onShow?.(position, this.ply);
  }
}

function endOf(position) {
  const { over, returns } = position;
  if (!over) return "";
  return returns[0] === returns[1] ? " · a draw" : ` · ${seatNameOf(position, returns[0] > returns[1] ? 0 : 1)} wins`;
}
