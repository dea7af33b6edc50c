// A table of games, with the filters that choose them and pages to turn.

import { choice, clear, count, field, h } from "./dom.js";

const SEAT_OPTIONS = [["", "either seat"], ["0", "first seat"], ["1", "second seat"]];
const RESULT_OPTIONS = [["", "any result"], ["0", "first seat won"], ["1", "second seat won"], ["draw", "draw"]];
export const FILTERS = ["length_min", "length_max", "winner", "player", "seat"];

// Returns the fields of the filters; onChange(name, value) is called with each change.
export function gameFilters(values, players, onChange) {
  const length = (label, name) => field(label, {
    type: "number", min: 0, max: 99999, value: values[name] || "", onchange: (event) => onChange(name, event.target.value),
  });
  const named = [["", "any player"], ...players.map((name) => [name, name])];
  const chosen = (label, name, options) => choice(label, options, values[name] || "", (value) => onChange(name, value));
  return h("div", { class: "row filters" },
    length("From plies", "length_min"),
    length("to plies", "length_max"),
    chosen("Result", "winner", RESULT_OPTIONS),
    players.length > 1 && chosen("Player", "player", named),
    players.length > 1 && values.player && chosen("Seat", "seat", SEAT_OPTIONS));
}

// Shows a page of games. current: the `index` of the game that is open; onOpen(row), onPage(page).
export function showGames(root, answer, current, { onOpen, onPage }) {
  const { rows, found, total, page, pages, cut, damaged, damage } = answer;
  const some = (number) => `${count(number)} ${number === 1 ? "game" : "games"}`;
  clear(root,
    h("p", { class: "quiet small", role: "status" },
      found === total ? some(total) : `${count(found)} of ${some(total)}`, ", the newest first",
      cut && "; of this large file only its end is read"),
    damaged > 0 && h("p", { class: "warn small" },
      `${damaged === 1 ? "One line holds" : `${count(damaged)} lines hold`} no game and ${damaged === 1 ? "is" : "are"} left out (${damage})`),
    rows.length > 0 && h("div", { class: "wide games-scroll", tabindex: "0" }, h("table", { class: "games-table" },
      h("thead", {}, h("tr", {}, ["Game", "First seat", "Second seat", "Plies", "Result", "Iteration"].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map((row) => gameRow(row, row.index === current, onOpen))))),
    pages > 1 && h("div", { class: "row pages" },
      h("button", { type: "button", disabled: page === 0, onclick: () => onPage(page - 1) }, "Newer"),
      h("span", {}, `page ${page + 1} of ${count(pages)}`),
      h("button", { type: "button", disabled: page + 1 >= pages, onclick: () => onPage(page + 1) }, "Older")));
}

function gameRow(row, isCurrent, onOpen) {
  const { iteration } = row.extra;
  return h("tr", { class: isCurrent && "current", "aria-current": isCurrent && "true" },
    h("td", {}, h("button", { type: "button", class: "link", "aria-label": `Show game ${row.number}`, onclick: () => onOpen(row) }, String(row.number))),
    h("td", { class: row.winner === 0 && "won" }, row.players[0]),
    h("td", { class: row.winner === 1 && "won" }, row.players[1]),
    h("td", {}, String(row.plies)),
    h("td", {}, resultText(row)),
    h("td", { class: "quiet" }, Number.isFinite(iteration) ? count(iteration) : ""));
}

// Returns how a game ended.
export function resultText({ winner, ended_by: by }) {
  const how = winner === null ? "draw" : `${winner === 0 ? "first" : "second"} seat won`;
  return by ? `${how}, by ${by}` : how;
}
