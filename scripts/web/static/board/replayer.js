// A game on the board, move by move: slider, buttons, keys and wheel.

import { Board } from "./board.js";
import { clear, h } from "../lib/dom.js";
import { Positions } from "./positions.js";
import { seatNameOf } from "./seats.js";

const WHEEL_STEP = 40; // of deltaY, for one move

// onShow(position, ply) after each step; onMove(action) when somebody plays on the board.
export class Replayer {
  constructor(root, page, { onShow, onMove }) {
    Object.assign(this, { page, onShow, onMove, moves: [], ply: 0, names: [], turned: 0, positions: null });
    this.board = null;
    this.picture = h("div", { class: "replay-board" });
    this.slider = h("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Ply",
      oninput: () => this.go(Number(this.slider.value)) });
    this.where = h("p", { class: "replay-where", role: "status" });
    const walk = (text, label, to) => h("button", { type: "button", class: "walk", "aria-label": label, title: label, onclick: () => this.go(to()) }, text);
    clear(root, this.picture, this.where, this.slider,
      h("div", { class: "walks" },
        walk("«", "To the opening", () => 0), walk("◀", "One move back", () => this.ply - 1),
        walk("▶", "One move forward", () => this.ply + 1), walk("»", "To the end", () => this.moves.length)));
    this.picture.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    page.onKey("ArrowLeft", "one move back", () => this.go(this.ply - 1));
    page.onKey("ArrowRight", "one move forward", () => this.go(this.ply + 1));
    page.onKey("Home", "to the opening", () => this.go(0));
    page.onKey("End", "to the end of the game", () => this.go(this.moves.length));
  }

  // Shows a line of moves of a game at a ply.
  async set(game, moves, ply) {
    if (this.positions?.game !== game) this.positions = new Positions(game);
    this.moves = moves;
    this.slider.max = moves.length;
    await this.go(ply);
  }

  wheel(event) {
    event.preventDefault();
    this.turned += event.deltaY;
    const steps = Math.trunc(this.turned / WHEEL_STEP);
    if (!steps) return;
    this.turned -= steps * WHEEL_STEP;
    this.go(this.ply + Math.sign(steps));
  }

  async go(ply) {
    if (!this.positions) return;
    this.ply = Math.min(Math.max(ply, 0), this.moves.length);
    this.slider.value = this.ply;
    this.asked?.abort();
    const asked = this.asked = new AbortController();
    this.page.signal.addEventListener("abort", () => asked.abort(), { once: true });
    const line = this.moves.slice(0, this.ply);
    let before;
    let position;
    try {
      before = line.length ? await this.positions.at(line.slice(0, -1), { signal: asked.signal }) : null;
      position = await this.positions.at(line, { signal: asked.signal });
    } catch (error) {
      if (!asked.signal.aborted) this.page.fail(error);
      return;
    }
    if (asked.signal.aborted) return;
    this.show(position, before);
  }

  show(position, before) {
    if (!this.board) this.board = new Board(this.picture, { label: "The game's position", onMove: ({ action }) => this.onMove(action) });
    this.position = position;
    this.board.show(position);
    const last = before?.moves.find((move) => move.action === position.last);
    const over = position.over ? " · the game is over" : "";
    this.where.textContent = `ply ${this.ply} of ${this.moves.length}${last ? ` · ${last.name} by ${seatNameOf(before, before.to_play)}` : ""}${over}`;
    this.slider.setAttribute("aria-valuetext", this.where.textContent);
    this.onShow(position, this.ply);
  }
}
