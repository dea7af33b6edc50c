// Pairs of a match's games: both on boards, at the point where they part.

import { ask, get } from "../lib/api.js";
import { Board } from "../board/board.js";
import { choice, clear, count, h } from "../lib/dom.js";
import { Positions } from "../board/positions.js";

const PAIR_FILTERS = [["", "all pairs"], ["4", "2 points"], ["3", "1½ points"], ["2", "1 point"], ["1", "½ point"], ["0", "0 points"]];

export class PairView {
  constructor(root, part) {
    Object.assign(this, { root, part, points: "", pairs: [], total: 0, games: -1, chosen: null, plies: [0, 0] });
    this.list = h("div", { class: "pairs" });
    this.filters = h("div", {});
    this.boards = h("div", {});
    clear(root, h("h2", {}, "Games, in pairs"), this.filters, this.list, this.boards);
    part.onKey("ArrowLeft", "both games a move back", () => this.stepBoth(-1));
    part.onKey("ArrowRight", "both games a move on", () => this.stepBoth(1));
    part.onKey("p", "where the games part", () => this.toParting());
  }

  // The match has been read again.
  update(match) {
    this.match = match;
    if (match.games === this.games) return;
    this.games = match.games;
    this.load(false);
  }

  filter(points) {
    this.points = points;
    this.load(true).then(() => this.root.scrollIntoView({ block: "start" }));
  }

  async load(anew, more = false) {
    const from = more ? this.pairs.length : 0;
    try {
      const found = await get("pairs", { match: this.match.name, points: this.points, from }, this.part.signal);
      this.positions ||= new Positions(found.game);
      this.pairs = more ? [...this.pairs, ...found.pairs] : found.pairs;
      this.total = found.count;
      if (anew || !this.chosen) this.choose(this.pairs[more ? from : 0]);
      this.showList();
    } catch (error) {
      this.part.fail(error);
    }
  }

  showList() {
    clear(this.filters, choice("Show", PAIR_FILTERS, this.points, (points) => { this.points = points; this.load(true); }));
    const line = (pair) => h("tr", { "aria-selected": String(pair.number === this.chosen?.number) },
      h("td", {}, h("button", { type: "button", onclick: () => { this.choose(pair); this.showList(); } }, `pair ${pair.number + 1}`)),
      h("td", {}, `${pair.points} of 2`), h("td", {}, `after ${pair.parting} moves`),
      pair.games.map((game, seat) => h("td", {}, outcomeInWords(game, seat))));
    clear(this.list,
      this.pairs.length ? h("table", {},
        h("thead", {}, h("tr", {}, ["", "Points", "They part", "First player in the first seat", "First player in the second seat"].map((name) => h("th", {}, name)))),
        h("tbody", {}, this.pairs.map(line))) : h("p", { class: "quiet" }, "There are none."),
      this.pairs.length < this.total && h("button", { type: "button", onclick: () => this.load(false, true) },
        `more: ${count(this.total - this.pairs.length)} pairs`));
  }

  choose(pair) {
    this.chosen = pair || null;
    if (!pair) return void clear(this.boards);
    this.plies = [pair.parting, pair.parting];
    const panels = pair.games.map((game, seat) => this.panel(game, seat));
    this.panels = panels;
    const button = (text, title, action) => h("button", { type: "button", title, "aria-label": title, onclick: action }, text);
    clear(this.boards,
      h("div", { class: "row" }, h("h3", {}, `Pair ${pair.number + 1}`),
        button("◀", "Both a move back (Left)", () => this.stepBoth(-1)),
        button("where they part", "To where they part (p)", () => this.toParting()),
        button("▶", "Both a move on (Right)", () => this.stepBoth(1))),
      pair.parting === pair.games[0].moves.length && h("p", { class: "quiet" }, "Both games are the same, move for move."),
      h("div", { class: "side-by-side" }, panels.map(({ element }) => element)));
    panels.forEach((_, seat) => this.draw(seat));
    this.nameMoves(pair);
  }

  panel(game, seat) {
    const box = h("div", {});
    const board = new Board(box, { label: `Game ${seat + 1} of the pair` });
    const about = h("p", { class: "status-line", "aria-live": "polite" });
    const slider = h("input", { type: "range", min: 0, max: game.moves.length, value: this.plies[seat], "aria-label": `Move of game ${seat + 1}`,
      oninput: () => this.to(seat, Number(slider.value)) });
    const [first, second] = this.match.players;
    const names = seat === 0 ? [first, second] : [second, first];
    const element = h("div", {},
      h("p", { class: "versus" }, names[0], h("span", { class: "quiet" }, "–"), names[1]), box, slider, about);
    return { element, board, about, slider, game };
  }

  stepBoth(turn) {
    if (!this.chosen) return;
    this.chosen.games.forEach((_, seat) => this.to(seat, this.plies[seat] + turn));
  }

  toParting() {
    this.chosen?.games.forEach((_, seat) => this.to(seat, this.chosen.parting));
  }

  to(seat, ply) {
    this.plies[seat] = Math.min(Math.max(0, ply), this.chosen.games[seat].moves.length);
    this.panels[seat].slider.value = this.plies[seat];
    this.draw(seat);
  }

  // Asks for both games' names of moves, for the line under each board.
  async nameMoves(pair) {
    try {
      for (const [seat, game] of pair.games.entries()) {
        const { names } = await ask("names", { game: this.positions.game, moves: game.moves }, { signal: this.part.signal });
        if (this.chosen !== pair) return;
        this.panels[seat].names = names;
        this.tell(seat);
      }
    } catch (error) {
      this.part.fail(error);
    }
  }

  async draw(seat) {
    const [pair, ply, panel] = [this.chosen, this.plies[seat], this.panels[seat]];
    this.tell(seat);
    try {
      const position = await this.positions.at(panel.game.moves.slice(0, ply), { signal: this.part.signal });
      if (this.chosen !== pair || this.plies[seat] !== ply) return;
      panel.board.show(position);
      const next = panel.game.moves[ply];
      if (next !== undefined && ply === pair.parting) panel.board.marks([{ action: next, kind: "played" }]);
    } catch (error) {
      this.part.fail(error);
    }
  }

  tell(seat) {
    const { about, game, names } = this.panels[seat];
    const ply = this.plies[seat];
    const named = (at) => names?.[at] ?? "…";
    const last = ply > 0 ? `move ${ply} of ${game.moves.length}: ${named(ply - 1)}` : "opening position";
    const parts = ply === this.chosen.parting && ply < game.moves.length ? `; here they part, this one goes on with ${named(ply)}` : "";
    const end = ply === game.moves.length ? `; ${outcomeInWords(game, seat)}` : "";
    clear(about, `${last}${parts}${end}`);
  }
}

// Returns how a game ended for the first player, who has this seat.
function outcomeInWords({ returns, moves, ended_by: by, fault }, seat) {
  const result = returns[seat] > 0 ? "won" : returns[seat] < 0 ? "lost" : "drawn";
  return `${result} after ${moves.length}${by ? ` by ${by}` : ""}${fault ? `: ${fault}` : ""}`;
}
