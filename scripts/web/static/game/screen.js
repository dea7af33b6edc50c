// What a game is: its facts, a random game step by step, what the network sees, and its check.

import { ask, get, restartWorker } from "../lib/api.js";
import { Board } from "../board/board.js";
import { checkResult } from "./checked.js";
import { capitalised, clear, coded, field, h, table } from "../lib/dom.js";
import { observationOf } from "../board/observation.js";
import { GameChoice } from "../lib/players.js";
import { Positions, seatAsSubject } from "../board/positions.js";

const FIRST_GAME = "connect_four";
const CHECKED_GAMES = 256; // as `selfplay game check` plays
const CHECKED_AT_MOST = 4096;

export async function show(root, params, page) {
  const game = params.game || FIRST_GAME;
  const { games } = await get("catalogue", {}, page.signal);
  const choice = new GameChoice({ games, value: game, onchange: () => page.go("game", { game: choice.value }) });
  const rules = h("section", { class: "card", "aria-label": "Rules" }, h("p", { class: "quiet" }, "loading"));
  root.append(
    h("h1", {}, "Rules"),
    h("div", { class: "row game-choice" }, choice.element,
      h("button", { type: "button", onclick: () => page.go("game", { game: choice.value }) }, "Show")),
    rules);
  const told = await ask("rules", { game }, { signal: page.signal });
  drawRules(rules, told, page);
  const random = new RandomGame(game, page);
  const check = new Check(game, page);
  root.append(
    h("div", { class: "columns" }, random.element, random.seen), check.element);
  await random.begin(Number(params.seed) || 0);
}

function drawRules(card, told, page) {
  const facts = told.facts.map(({ name, text, failed }) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: failed ? "bad" : "" }, coded(text))));
  const options = told.options.map(({ name, value, default: usual }) =>
    [name, value, value === usual ? "" : `usually ${usual}`]);
  const again = async () => {
    await restartWorker();
    page.again();
  };
  clear(card,
    h("h2", {}, told.game),
    told.own && h("div", {},
      h("p", {}, "This is a game of somebody’s own. After a change of its file, load it again."),
      h("p", { class: "row" }, h("button", { type: "button", onclick: again }, "Load it again"),
        h("span", { class: "quiet small" }, "This restarts the process that searches. Searches that other pages have in it end."))),
    told.documentation.flatMap(paragraphs).map((text) => h("p", { class: /^[\s*|-]/m.test(text) ? "told" : "" }, coded(text))),
    h("div", { class: "columns rules-columns" },
      h("table", { class: "rules-facts" }, h("tbody", {}, facts)),
      h("div", {},
        options.length > 0 && h("h3", {}, "Options"),
        options.length > 0 && table(["Option", "Here", ""], options),
        h("h3", {}, "What a game may have"),
        h("ul", { class: "protocols" }, told.optional.map(({ words, name, about, has }) => h("li", {},
          h("strong", {}, words), " ", h("span", { class: has ? "tag good" : "tag quiet" }, has ? "yes" : "no"),
          h("br", {}), h("span", { class: "quiet small" }, coded(about), " (", h("code", {}, name), ")")))))));
}

// Lines of a docstring end where its source does: only its paragraphs are its own.
function paragraphs(text) {
  return text.split(/\n[ \t]*\n/);
}

// A card that says what goes wrong in it, so that the rest of the screen stays.
class Room {
  constructor(title, page) {
    this.page = page;
    this.trouble = h("div", {});
    this.content = h("div", {});
    this.element = h("section", { class: "card", "aria-label": title }, h("h2", {}, title), this.trouble, this.content);
  }

  async trying(work) {
    clear(this.trouble);
    try {
      return await work();
    } catch (error) {
      if (error.name === "AbortError") return null;
      if (error.consent) this.page.fail(error);
      else clear(this.trouble, h("p", { class: "error", role: "alert" }, error.message));
      return null;
    }
  }
}

class RandomGame {
  constructor(game, page) {
    Object.assign(this, { game, page, moves: [], ply: 0, symmetry: 0, positions: new Positions(game) });
    this.room = new Room("A random game", page);
    this.planes = new Room("What the network sees", page);
    this.seen = this.planes.element;
    this.element = this.room.element;
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.odd = h("p", { class: "warn" });
    const board = h("div", {});
    const button = (text, label, action) =>
      h("button", { type: "button", class: "walk", title: label, "aria-label": label, onclick: action }, text);
    this.walking = [
      button("|◀", "First position (Home)", () => this.go(0)),
      button("◀", "Back (Left)", () => this.go(this.ply - 1)),
      button("▶", "Forward (Right)", () => this.go(this.ply + 1)),
      button("▶|", "Last position (End)", () => this.go(this.moves.length)),
    ];
    this.room.content.append(board, this.status, this.odd,
      h("div", { class: "walks", role: "group", "aria-label": "Walk through the game" }, this.walking),
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => this.begin(this.seed + 1) }, "Another game"),
        h("span", { class: "quiet small" }, "Click the board to go on otherwise.")));
    this.board = new Board(board, { label: "Position of a random game", onMove: ({ action }) => this.turn(action) });
    page.onKey("ArrowLeft", "a move back", () => this.go(this.ply - 1));
    page.onKey("ArrowRight", "a move forward", () => this.go(this.ply + 1));
    page.onKey("Home", "the first position", () => this.go(0));
    page.onKey("End", "the last position", () => this.go(this.moves.length));
    page.onKey("n", "another random game", () => this.begin(this.seed + 1));
  }

  async begin(seed) {
    this.seed = seed;
    const args = { game: this.game, seed };
    const played = await this.room.trying(() => ask("random_game", args, { signal: this.page.signal }));
    this.moves = played?.moves || [];
    this.odd.textContent = played?.odd ? `Odd: ${played.odd}.` : "";
    this.names = [];
    await this.go(0);
  }

  // Goes on with another move than the game's.
  async turn(action) {
    this.moves = [...this.moves.slice(0, this.ply), action];
    this.odd.textContent = "";
    await this.go(this.moves.length);
  }

  async go(ply) {
    if (ply < 0 || ply > this.moves.length) return;
    this.ply = ply;
    this.asking?.abort();
    this.asking = new AbortController();
    const signal = AbortSignal.any([this.page.signal, this.asking.signal]);
    const moves = this.moves.slice(0, ply);
    const position = await this.room.trying(() => this.positions.at(moves, { signal }));
    if (signal.aborted) return;
    this.board.show(position);
    const [first, back, forward, last] = this.walking;
    first.disabled = back.disabled = ply === 0;
    forward.disabled = last.disabled = ply === this.moves.length;
    if (position) await this.tell(position, moves, signal);
    await this.look(moves, signal);
  }

  async tell(position, moves, signal) {
    const side = (seat) => seatAsSubject(position, seat);
    const played = await this.room.trying(() => ask("names", { game: this.game, moves }, { signal }));
    if (signal.aborted) return;
    const last = played?.names.at(-1);
    const about = last ? `Move ${moves.length} of ${this.moves.length}: ${side(played.seats.at(-2))} played ${last}. ` : "The opening. ";
    this.status.textContent = about + (position.over ? endOf(position, side) : `${capitalised(side(position.to_play))} is to play, ${count(position.moves.length)}.`);
  }

  async look(moves, signal) {
    const args = { game: this.game, moves, symmetry: this.symmetry };
    const seen = await this.planes.trying(() => ask("planes", args, { signal }));
    if (signal.aborted) return;
    if (!seen) {
      clear(this.planes.content);
      return;
    }
    const through = Array.from({ length: seen.symmetries }, (_, k) => h("button", {
      type: "button", "aria-pressed": String(k === this.symmetry),
      onclick: () => { this.symmetry = k; this.go(this.ply); } }, k === 0 ? "as it is" : String(k)));
    clear(this.planes.content,
      h("p", { class: "quiet small" }, `${seen.planes.length} planes of ${seen.dtype}, as ${seatAsSubject(this.board.position, seen.to_play)} sees them, whose turn it is.`),
      seen.symmetries > 1 && h("div", { class: "row symmetries", role: "group", "aria-label": "Symmetry" },
        h("span", { class: "quiet" }, "Through symmetry"), h("span", { class: "joined" }, through)),
      observationOf(seen));
  }
}

function count(moves) {
  return `${moves} legal ${moves === 1 ? "move" : "moves"}`;
}

function endOf(position, side) {
  const [first, second] = position.returns;
  return first === second ? "The game is over: a draw." : `The game is over: ${side(first > second ? 0 : 1)} has won.`;
}

class Check {
  constructor(game, page) {
    Object.assign(this, { game, page });
    this.room = new Room("Does it keep the laws?", page);
    this.element = this.room.element;
    this.note = h("p", { class: "quiet", role: "status", "aria-live": "polite" });
    this.result = h("div", {});
    const games = field("Random games", { type: "number", min: 1, max: CHECKED_AT_MOST, value: CHECKED_GAMES });
    this.games = games.querySelector("input");
    this.start = h("button", { type: "button", class: "primary", onclick: () => this.run() }, "Check");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.running.abort() }, "Stop");
    this.room.content.append(
      h("p", {}, "Plays it many times and tries every law that training relies on, as ",
        h("code", {}, "selfplay game check"), " does. What breaks a law is shown on the board."),
      h("div", { class: "row" }, games, this.start, this.stop), this.note, this.result);
    page.onKey("c", "check the game", () => this.start.click());
  }

  async run() {
    this.running = new AbortController();
    const signal = AbortSignal.any([this.page.signal, this.running.signal]);
    this.start.disabled = true;
    this.stop.hidden = false;
    clear(this.result);
    const args = { game: this.game, games: Number(this.games.value) };
    this.note.textContent = "waiting";
    const onNote = (text) => { this.note.textContent = `trying: ${text}`; };
    const found = await this.room.trying(() => ask("check", args, { signal, onNote }));
    this.start.disabled = false;
    this.stop.hidden = true;
    this.note.textContent = signal.aborted ? "stopped" : "";
    if (found) clear(this.result, checkResult(found));
  }
}
