// Pairs of a match's games: both on boards, at the point where they part.

import { Asker, get } from "../lib/api.js";
import { Replayer } from "../board/replayer.js";
import { choice, clear, count, h, table } from "../lib/dom.js";

const FILTERS = [["", "all pairs"], ["4", "2 points"], ["3", "1½ points"], ["2", "1 point"], ["1", "½ point"], ["0", "0 points"]];

export class PairView {
  constructor(root, part) {
    Object.assign(this, { root, part, points: "", pairs: [], games: -1, chosen: null, asker: new Asker(part) });
    this.list = h("div", { class: "pairs" });
    this.filters = h("div", {});
    this.title = h("h3", {});
    const boards = [0, 1].map(() => h("div", {}));
    // Keys move both games at once.
    this.replayers = boards.map((box) => new Replayer(box, { ...part, onKey: () => {} }, {}));
    this.captions = boards.map((box) => box.insertBefore(h("p", { class: "versus" }), box.firstChild));
    const button = (text, title, action) => h("button", { type: "button", title, "aria-label": title, onclick: action }, text);
    this.boards = h("div", { hidden: true },
      h("div", { class: "row" }, this.title, button("◀", "Both a move back (Left)", () => this.stepBoth(-1)),
        button("where they part", "To where they part (p)", () => this.toParting()), button("▶", "Both a move on (Right)", () => this.stepBoth(1))),
      h("div", { class: "side-by-side" }, boards));
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
    this.load();
  }

  filter(points) {
    Object.assign(this, { points, chosen: null });
    this.load();
  }

  async load(from = 0) {
    const found = await this.asker.put(({ signal }) => get("pairs", { match: this.match.name, points: this.points, from }, signal));
    if (!found) return;
    this.game = found.game;
    this.pairs = [...this.pairs.slice(0, from), ...found.pairs];
    if (this.chosen) this.showList();
    else this.choose(this.pairs[0]);
    const left = found.count - this.pairs.length;
    if (left > 0) this.list.append(h("button", { type: "button", onclick: () => this.load(this.pairs.length) }, `more: ${count(left)} pairs`));
  }

  showList() {
    clear(this.filters, choice("Show", FILTERS, this.points, (points) => this.filter(points)));
    clear(this.list, this.pairs.length ? table(
      ["", "Points", "They part", "First player in the first seat", "First player in the second seat"],
      this.pairs.map((pair) => [
        h("button", { type: "button", "aria-pressed": String(pair.number === this.chosen?.number), onclick: () => this.choose(pair) }, `pair ${pair.number + 1}`),
        `${pair.points} of 2`, `after ${pair.parting} moves`, ...pair.games.map(outcomeInWords)]))
      : h("p", { class: "quiet" }, "There are none."));
  }

  choose(pair) {
    this.chosen = pair;
    this.boards.hidden = !pair;
    this.showList();
    if (!pair) return;
    const isSame = pair.parting === pair.games[0].moves.length;
    this.title.textContent = `Pair ${pair.number + 1}${isSame ? ": both games are the same, move for move" : ""}`;
    const [first, second] = this.match.players;
    pair.games.forEach((game, seat) => {
      this.captions[seat].textContent = `${seat ? `${second} – ${first}` : `${first} – ${second}`}: the first player ${outcomeInWords(game, seat)}`;
      this.replayers[seat].set(this.game, game.moves, pair.parting);
    });
  }

  stepBoth(by) {
    for (const replayer of this.replayers) replayer.go(replayer.ply + by);
  }

  toParting() {
    for (const replayer of this.replayers) replayer.go(this.chosen?.parting ?? 0);
  }
}

// Returns how a game ended for the first player, who has this seat.
function outcomeInWords({ returns, moves, ended_by: by, fault }, seat) {
  const result = returns[seat] > 0 ? "won" : returns[seat] < 0 ? "lost" : "drew";
  return `${result} after ${moves.length}${by ? ` by ${by}` : ""}${fault ? `: ${fault}` : ""}`;
}
