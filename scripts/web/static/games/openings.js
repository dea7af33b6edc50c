// How games go on from a position: each next move with how often it was played and how it ended.

import { clear, count, h, percent, resultBar, signed } from "../lib/dom.js";
import { seatNameOf } from "../board/positions.js";

// onMove(action) is called with the move that was clicked; hover(action|null) with what is pointed at.
export class Openings {
  constructor(root, { onMove, onHover }) {
    Object.assign(this, { root, onMove, onHover });
  }

  // Shows what route `openings` answers; names are those of moves in the position, by action.
  show(node, names, position) {
    const [first, second] = [seatNameOf(position, 0), seatNameOf(position, 1)];
    const { games, moves, ended } = node;
    if (!games) {
      clear(this.root, h("p", { class: "quiet" }, "No game here that fits the filters."));
      return;
    }
    clear(this.root,
      h("p", { class: "quiet small" }, `${count(games)} ${games === 1 ? "game" : "games"} came here: `, spokenResults(node, position),
        ended ? `; ${count(ended)} ended here` : ""),
      moves.length > 0 && h("div", { class: "wide" }, h("table", { class: "openings" },
        h("thead", {}, h("tr", {}, ["Move", "Games", "", "Results", "Mean"].map((name) => h("th", {}, name)))),
        h("tbody", {}, moves.map((move) => this.row(move, games, position, names.get(move.action) ?? `#${move.action}`))))),
      moves.length > 0 && h("p", { class: "quiet small" },
        h("span", { class: "key seat0" }), ` ${first} won `, h("span", { class: "key drawn" }), " draw ",
        h("span", { class: "key seat1" }), ` ${second} won. Mean: for ${first}, from −1 to +1.`));
  }

  row(move, games, position, name) {
    const label = `${name}: ${count(move.games)} games, ${spokenResults(move, position)}`;
    const point = (action) => () => this.onHover(action);
    return h("tr", { onmouseenter: point(move.action), onmouseleave: point(null) },
      h("td", {}, h("button", { type: "button", class: "link mono", "aria-label": label, onclick: () => this.onMove(move.action) }, name)),
      h("td", {}, count(move.games)),
      h("td", { class: "quiet" }, percent(move.games / games, 0)),
      h("td", {}, resultBar([["seat0", move.wins[0]], ["drawn", move.draws], ["seat1", move.wins[1]]], spokenResults(move, position))),
      h("td", {}, signed(move.returns)));
  }
}

function spokenResults({ wins, draws }, position) {
  const parts = [[wins[0], `won by ${seatNameOf(position, 0)}`], [draws, "drawn"], [wins[1], `won by ${seatNameOf(position, 1)}`]];
  return parts.filter(([number]) => number).map(([number, how]) => `${count(number)} ${how}`).join(", ") || "no result";
}
