// The positions of a run's games where two players disagree most.

import { Asker, ask, checkpointsOf } from "../lib/api.js";
import { Board } from "../board/board.js";
import { choice, clear, count, field, h, percent, signed } from "../lib/dom.js";
import { PlayerChoice, playerName } from "../lib/players.js";
import { Positions, seatAsSubject } from "../board/positions.js";

const ORDERS = [["both", "policy and value"], ["policy", "policy"], ["value", "value"]];
const LEAST_SHARE = 0.02; // of a move that a board shows

export class Disagreements {
  constructor(root, part) {
    Object.assign(this, { root, part });
  }

  async begin() {
    const { known, kept, signal } = this.part;
    const runs = known.runs.filter((run) => run.game);
    if (!runs.length) return void clear(this.root, h("p", {}, "There is no run here whose games could be looked through."));
    const run = runs.find(({ name }) => name === kept.run) || runs[0];
    Object.assign(this, { run: run.name, game: run.game, measure: kept.measure || "both" });
    const { steps } = await checkpointsOf(run.name, signal);
    const early = steps.length > 1 ? `${run.name}@${steps[Math.floor((steps.length - 1) / 2)]}` : "uniform";
    const values = kept.run === run.name && kept.a && kept.b ? [kept.a, kept.b] : [run.name, early];
    this.players = ["First player", "Second player"].map((label, k) =>
      new PlayerChoice(label, { ...known, game: run.game, value: values[k], signal, onchange: () => this.keep() }));
    const amount = (label, value, min, max) => field(label, { type: "number", value, min, max, onchange: () => this.keep() });
    const simulations = amount("Simulations (0: networks alone)", kept.simulations || "0", 0, 10000);
    const looked = amount("Positions", kept.positions || "1000", 1, 20000);
    Object.assign(this, { simulations: simulations.lastChild, looked: looked.lastChild });
    this.status = h("p", { class: "status-line", role: "status" });
    this.asker = new Asker(this.part, (note) => { this.status.textContent = note; });
    this.found = h("div", {});
    clear(this.root,
      h("section", { class: "card", "aria-label": "What to look for" },
        h("p", {}, "Both players judge positions of a run's recorded games. Shown are those where they differ most."),
        h("div", { class: "row" },
          choice("Games of", runs.map(({ name }) => name), run.name, (name) => this.part.open("disagree", { run: name })),
          this.players.map(({ element }) => element), simulations, looked,
          choice("Sort by difference in", ORDERS, this.measure, (measure) => { this.measure = measure; this.keep(); this.look(); }),
          h("button", { type: "button", class: "primary", onclick: () => this.look() }, "Look")),
        this.status),
      this.found);
    this.keep();
  }

  keep() {
    const [a, b] = this.players.map(({ value }) => value);
    this.part.keep({ run: this.run, game: this.game, a, b, measure: this.measure, simulations: this.simulations.value, positions: this.looked.value });
  }

  async look() {
    const { game, run, measure } = this;
    const args = { game, run, measure, players: this.players.map(({ value }) => value),
      simulations: Number(this.simulations.value), positions: Number(this.looked.value) };
    const answer = await this.asker.put((options) => ask("disagree", args, options));
    if (answer) await this.show(answer).catch(this.part.fail); // which says nothing of a page that was left
  }

  async show({ players, positions, games, mean, same_best: same, found }) {
    const names = players.map(playerName);
    this.status.textContent = `${count(positions)} different positions of ${count(games)} games: both play the same move in ${percent(same)}. On average they differ by `
      + `${mean.policy.toFixed(3)} nats in policy (Jensen-Shannon divergence, 0 to 0.693) and ${mean.value.toFixed(2)} in value (0 to 2).`;
    const known = new Positions(this.game);
    const grid = h("div", { class: "found" });
    clear(this.found, h("section", { class: "card", "aria-label": "Where they disagree" },
      h("h2", {}, "Largest differences"),
      h("p", { class: "quiet" }, "Shades and numbers: policy of ", h("b", {}, names[0]), " in percent. Ring: the move of ", h("b", {}, names[1]), ". Click a position to compare both."), grid));
    for (const one of found) {
      const position = await known.at(one.moves, { signal: this.part.signal });
      const box = h("div", {});
      grid.append(h("button", { type: "button", onclick: () => this.open(one) }, box,
        h("span", { class: "about" }, `after ${one.moves.length} moves, ${seatAsSubject(position, one.to_play)} to play`),
        names.map((name, k) => h("span", { class: "about" }, h("b", {}, name), ` plays ${one.names[k]} (${percent(one.shares[k][one.best[k]], 0)}), value ${signed(one.values[k])}`)),
        h("span", { class: "about quiet" }, `difference: policy ${one.policy.toFixed(3)}, value ${one.value.toFixed(2)}`)));
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
function opposed({ shares: [own], best: [, ringed] }) {
  return Object.keys(own).map(Number).filter((action) => own[action] >= LEAST_SHARE || action === ringed)
    .map((action) => ({ action, value: own[action], text: String(Math.round(100 * own[action])), best: action === ringed }));
}
