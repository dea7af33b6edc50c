// A table of games, with the filters that choose them and pages to turn.

import { choice, clear, count, field, h } from "../lib/dom.js";
import { seatNameOf } from "../board/positions.js";

const LONGEST_NAME = 20; // characters of a player's name in the table
export const FILTERS = ["length_min", "length_max", "winner", "player", "seat"];

// Returns the fields of the filters; onChange(name, value) is called with each change. position is
// any of the game, which names the seats, or null.
export function gameFilters(values, players, position, onChange) {
  const seats = [0, 1].map((seat) => seatNameOf(position, seat));
  const bySeat = seats.map((name, seat) => [String(seat), name]);
  const byWinner = seats.map((name, seat) => [String(seat), `${name} won`]);
  const length = (label, name) => field(label, {
    type: "number", min: 0, max: 99999, value: values[name] || "", onchange: (event) => onChange(name, event.target.value),
  });
  const named = [["", "any player"], ...players.map((name) => [name, name])];
  const chosen = (label, name, options) => choice(label, options, values[name] || "", (value) => onChange(name, value));
  return h("div", { class: "row filters" },
    length("From plies", "length_min"),
    length("to plies", "length_max"),
    chosen("Result", "winner", [["", "any result"], ...byWinner, ["draw", "draw"]]),
    players.length > 1 && chosen("Player", "player", named),
    players.length > 1 && values.player && chosen("Seat", "seat", [["", "either seat"], ...bySeat]));
}

// Shows a page of games. current: the `index` of the game that is open; onOpen(row), onPage(page).
export function showGames(root, answer, current, position, { onOpen, onPage }) {
  const { rows, found, total, page, pages, cut, damaged, damage } = answer;
  const some = (number) => `${count(number)} ${number === 1 ? "game" : "games"}`;
  clear(root,
    h("p", { class: "quiet small", role: "status" },
      found === total ? some(total) : `${count(found)} of ${some(total)}`, ", the newest first",
      cut && "; of this large file only its end is read"),
    damaged > 0 && h("p", { class: "warn small" },
      `${damaged === 1 ? "One line holds" : `${count(damaged)} lines hold`} no game and ${damaged === 1 ? "is" : "are"} left out (${damage})`),
    rows.length > 0 && h("div", { class: "wide games-scroll", tabindex: "0" }, h("table", { class: "games-table" },
      h("thead", {}, h("tr", {}, ["Game", seatNameOf(position, 0), seatNameOf(position, 1), "Plies", "Result", "Iteration"].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map((row) => gameRow(row, row.index === current, position, onOpen))))),
    pages > 1 && h("div", { class: "row pages" },
      h("button", { type: "button", disabled: page === 0, onclick: () => onPage(page - 1) }, "Newer"),
      h("span", {}, `page ${page + 1} of ${count(pages)}`),
      h("button", { type: "button", disabled: page + 1 >= pages, onclick: () => onPage(page + 1) }, "Older")));
}

function gameRow(row, isCurrent, position, onOpen) {
  const { iteration } = row.extra;
  return h("tr", { class: isCurrent && "current", "aria-current": isCurrent && "true" },
    h("td", {}, h("button", { type: "button", class: "link", "aria-label": `Show game ${row.number}`, onclick: () => onOpen(row) }, String(row.number))),
    [0, 1].map((seat) => h("td", { class: row.winner === seat ? "name won" : "name", title: row.players[seat] }, shortened(row.players[seat]))),
    h("td", {}, String(row.plies)),
    h("td", {}, resultText(row, position)),
    h("td", { class: "quiet" }, Number.isFinite(iteration) ? count(iteration) : ""));
}

// Returns a name with its middle left out if it is long: its ends tell runs and steps apart.
function shortened(name) {
  if (name.length <= LONGEST_NAME) return name;
  const half = (LONGEST_NAME - 1) / 2;
  return `${name.slice(0, Math.floor(half))}…${name.slice(-Math.ceil(half))}`;
}

// Returns how a game ended.
export function resultText({ winner, ended_by: by }, position) {
  const how = winner === null ? "draw" : `${seatNameOf(position, winner)} won`;
  return by ? `${how}, by ${by}` : how;
}
