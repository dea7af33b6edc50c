// The positions of a run's games where two players disagree most.

import { ask } from "../lib/api.js";
import { Board, heatLegend } from "../board/board.js";
import { choice, clear, count, h, percent, s, signed } from "../lib/dom.js";
import { PlayerChoice, checkpointsOf, playerName } from "../lib/players.js";
import { Positions, seatAsSubject } from "../board/positions.js";

const APART_ORDERS = [["both", "policy and value"], ["policy", "policy"], ["value", "value"]];
const USUAL_LOOKED = "1000"; // positions
const LISTED_MOVES = 3; // below a board, with both players' shares
const LEAST_SHARE = 0.02; // of a move that a board shows

export class Disagreements {
  constructor(root, part) {
    Object.assign(this, { root, part, asking: null });
  }

  async begin() {
    const { known, kept, signal } = this.part;
    const runs = known.runs.filter((run) => run.game);
    if (!runs.length) return void clear(this.root, h("p", {}, "There is no run here whose games could be looked through."));
    const run = runs.find(({ name }) => name === kept.run) || runs[0];
    this.game = run.game;
    const { steps } = await checkpointsOf(run.name, signal);
    const early = steps.length > 1 ? `${run.name}@${steps[Math.floor((steps.length - 1) / 2)]}` : "uniform";
    const sameGame = (player) => player && kept.run === run.name;
    this.players = [["First player", sameGame(kept.a) ? kept.a : run.name], ["Second player", sameGame(kept.b) ? kept.b : early]].map(([label, value]) =>
      new PlayerChoice(label, { runs: known.runs, shipped: known.shipped, game: run.game, value, signal, onchange: () => this.keep() }));
    const amount = (value, min, max) => h("input", { type: "number", value, min, max, onchange: () => this.keep() });
    this.simulations = amount(kept.simulations || "0", 0, 10000);
    this.looked = amount(kept.positions || USUAL_LOOKED, 1, 20000);
    this.measure = kept.measure || "both";
    this.run = run.name;
    this.button = h("button", { type: "button", class: "primary", onclick: () => this.look() }, "Look");
    this.status = h("p", { class: "status-line", role: "status" });
    this.found = h("div", {});
    const labelled = (label, input) => h("label", { class: "field" }, h("span", {}, label), input);
    clear(this.root,
      h("section", { class: "card", "aria-label": "What to look for" },
        h("p", {}, "Positions of the recorded games of a run (its own, evaluations, games against people) are judged by both players. Shown are those where they are furthest apart; of mirror images one."),
        h("div", { class: "row" },
          choice("Games of", runs.map(({ name }) => name), run.name, (name) => this.part.open("disagree", { run: name })),
          this.players.map(({ element }) => element),
          labelled("Simulations (0: networks alone)", this.simulations),
          labelled("Positions", this.looked),
          choice("Apart in", APART_ORDERS, this.measure, (measure) => { this.measure = measure; this.keep(); this.look(); }),
          this.button),
        this.status),
      this.found);
    this.keep();
    if (kept.looked) await this.look();
  }

  keep() {
    const [a, b] = this.players.map(({ value }) => value);
    this.part.keep({ run: this.run, game: this.game, a, b, measure: this.measure, simulations: this.simulations.value, positions: this.looked.value });
  }

  async look() {
    this.asking?.abort();
    const asking = this.asking = new AbortController();
    this.part.signal.addEventListener("abort", () => asking.abort(), { once: true });
    this.part.keep({ looked: "1" });
    this.status.textContent = "asked";
    try {
      const answer = await ask("disagree", { game: this.game, run: this.run, players: this.players.map(({ value }) => value),
        simulations: Number(this.simulations.value), positions: Number(this.looked.value), measure: this.measure },
      { signal: asking.signal, onNote: (note) => { this.status.textContent = note; } });
      await this.show(answer);
    } catch (error) {
      if (asking.signal.aborted) return;
      clear(this.status);
      this.part.fail(error);
    }
  }

  async show({ players, positions, games, mean, same_best: same, found }) {
    const names = players.map(playerName);
    clear(this.status, `${count(positions)} different positions of ${count(games)} games: both play the same move in ${percent(same)}; on average apart by `
      + `${mean.policy.toFixed(3)} nats in policy (Jensen-Shannon divergence, 0 to 0.693) and ${mean.value.toFixed(2)} in value (0 to 2). A click on a position opens both heat maps.`);
    const known = new Positions(this.game);
    const grid = h("div", { class: "found" });
    clear(this.found, h("section", { class: "card", "aria-label": "Where they disagree" }, h("h2", {}, "Furthest apart"), opposedLegend(names), grid));
    for (const one of found) {
      const position = await known.at(one.moves, { signal: this.part.signal });
      const box = h("div", {});
      const card = h("button", { type: "button", onclick: () => this.open(one) }, box,
        h("span", { class: "about" }, `after ${one.moves.length} moves, ${seatAsSubject(position, one.to_play)} to play`),
        names.map((name, k) => h("span", { class: "about" }, h("b", {}, name), ` plays ${one.names[k]}, value ${signed(one.values[k])}`)),
        sharesOf(one, position, names),
        h("span", { class: "about quiet" }, `apart: policy ${one.policy.toFixed(3)}, value ${one.value.toFixed(2)}`));
      grid.append(card);
      const board = new Board(box, { label: `Position after ${one.moves.length} moves` });
      board.show(position);
      board.heat(opposed(one));
    }
  }

  open({ moves }) {
    const [a, b] = this.players.map(({ value }) => value);
    this.part.open("position", { game: this.game, a, b, moves: moves.join(), simulations: this.simulations.value, shown: "weight" });
  }
}

// Returns a heat map: shades and numbers are the first player's policy, the ring is what the second one plays.
function opposed({ shares, best }) {
  const [own, other] = shares;
  const ringed = isEven(other) ? null : best[1];
  return Object.keys(own).map(Number).filter((action) => own[action] >= LEAST_SHARE || action === ringed)
    .map((action) => ({ action, value: own[action], text: String(Math.round(100 * own[action])), best: action === ringed }));
}

// Whose shades and whose rings are on the boards.
function opposedLegend([first, second]) {
  const ring = s("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "ring-key", "aria-hidden": "true" }, s("circle", { class: "heat-best", cx: 8, cy: 8, r: 6 }));
  return h("p", { class: "row opposed-legend" },
    h("span", {}, h("span", {}, h("b", {}, first), ": shade and number, its policy in percent"), heatLegend("share")),
    h("span", {}, h("span", {}, h("b", {}, second), ":"), ring, "around the move that it plays"));
}

// The moves that either player thinks of most, with both shares.
function sharesOf({ shares: [own, other] }, position, names) {
  const most = (action) => Math.max(own[action], other[action]);
  const actions = Object.keys(own).map(Number).sort((a, b) => most(b) - most(a)).slice(0, LISTED_MOVES);
  const line = (...cells) => cells.map((cell) => h("span", {}, cell));
  return h("span", { class: "about shares" }, line("", ...names.map((name) => h("b", {}, name))),
    actions.map((action) => line(position.moves.find((move) => move.action === action)?.name ?? `action ${action}`, percent(own[action], 0), percent(other[action], 0))));
}

function isEven(shares) {
  const values = Object.values(shares);
  return values.length > 1 && Math.max(...values) - Math.min(...values) < 1e-6;
}
