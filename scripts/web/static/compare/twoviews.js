// One position as two players see it: both heat maps side by side.

import { Asker, ask, checkpointsOf } from "../lib/api.js";
import { Board, heatLegend } from "../board/board.js";
import { choice, clear, field, h, percent, signed, table } from "../lib/dom.js";
import { MoveLine, movesFrom, turnInWords } from "../board/moveline.js";
import { GameChoice, PlayerChoice, isShipped, playerName } from "../lib/players.js";
import { seatAsSubject } from "../board/positions.js";

const VIEW_SHOWN = [["prior", "network's policy"], ["weight", "search's policy"], ["visits", "visits"], ["q", "value of each move"]];
const VIEW_ROWS = 10;
const EQUAL = 1e-6; // between shares
const VIEW_SIMULATIONS = "200"; // simulations

export class TwoViews {
  constructor(root, part) {
    Object.assign(this, { root, part, answer: null });
  }

  async begin() {
    const { known, kept, signal } = this.part;
    const game = kept.game || known.runs.find((run) => run.game)?.game || "connect_four";
    const players = kept.a && kept.b ? [kept.a, kept.b] : await usualPlayers(known, game, signal);
    this.shown = VIEW_SHOWN.some(([key]) => key === kept.shown) ? kept.shown : "weight";
    this.part.keep({ game, a: players[0], b: players[1], shown: this.shown });
    const changed = () => { this.part.keep({ a: this.players[0].value, b: this.players[1].value }); this.think(); };
    this.players = ["First player", "Second player"].map((label, k) =>
      new PlayerChoice(label, { ...known, game, value: players[k], onchange: changed, signal }));
    this.games = new GameChoice({ games: known.games, value: game, signal, onchange: () => this.part.open("position", { game: this.games.value }) });
    const simulations = field("Simulations", { type: "number", min: 0, max: 100000, value: kept.simulations || VIEW_SIMULATIONS,
      onchange: () => { this.part.keep({ simulations: this.simulations.value }); this.think(); } });
    this.simulations = simulations.lastChild;
    this.line = new MoveLine({ game, moves: movesFrom(kept.moves), signal, onError: this.part.fail,
      onchange: (position, moves) => { this.part.keep({ moves: moves.join() }); this.arrived(position); } });
    this.status = h("p", { class: "status-line", role: "status" });
    this.asker = new Asker(this.part, (note) => { this.status.textContent = note; });
    this.turn = h("p", {});
    this.legend = h("span", {});
    this.sides = [0, 1].map((k) => this.side(k));
    this.rows = h("div", {});
    clear(this.root,
      h("section", { class: "card", "aria-label": "Position and players" },
        h("div", { class: "row" }, this.games.element, this.players.map(({ element }) => element), simulations),
        this.line.element, this.turn),
      h("section", { class: "card", "aria-label": "Heat maps" },
        h("div", { class: "row" }, choice("On the boards", VIEW_SHOWN, this.shown, (shown) => this.show(shown)), this.legend),
        this.status,
        h("div", { class: "side-by-side" }, this.sides.map(({ element }) => element))),
      h("section", { class: "card", "aria-label": "Moves" }, this.rows));
    this.part.onKey("Backspace", "take the last move back", () => this.line.back());
    this.show(this.shown);
    await this.line.begin();
  }

  side(k) {
    const box = h("div", {});
    const board = new Board(box, { onMove: (move) => this.line.play(move), label: `The ${k ? "second" : "first"} player's view` });
    const title = h("h3", { class: "versus" });
    const about = h("p", {});
    return { element: h("div", {}, title, about, box), board, title, about };
  }

  show(shown) {
    this.shown = shown;
    this.part.keep({ shown });
    clear(this.legend, heatLegend(shown === "q" ? "value" : "share"));
    this.paint();
  }

  arrived(position) {
    this.turn.textContent = turnInWords(position);
    this.answer = null;
    for (const { board } of this.sides) board.show(position);
    clear(this.rows);
    this.think();
  }

  async think() {
    const { position, game, moves } = this.line;
    if (!position) return;
    this.players.forEach(({ value }, k) => { this.sides[k].title.textContent = playerName(value); clear(this.sides[k].about); });
    if (position.over) return this.asker.stop();
    const args = { game, players: this.players.map(({ value }) => value), moves, simulations: Number(this.simulations.value) };
    this.answer = { players: [] };
    const onPart = ({ player }) => { this.answer.players.push(player); this.paint(); };
    const answer = await this.asker.put((options) => ask("compare", args, { ...options, onPart }));
    if (!answer) return undefined;
    this.answer = answer;
    this.status.textContent = apartInWords(answer.apart);
    return this.paint();
  }

  paint() {
    const views = this.answer?.players || [];
    this.sides.forEach(({ board, about }, k) => {
      const view = views[k];
      if (!this.line.position) return;
      board.heat(view ? viewHeat(view, this.shown) : null, this.shown === "q" ? "value" : "share");
      clear(about, view && valueInWords(view, this.line.position));
    });
    if (views.length === 2) clear(this.rows, this.movesTable(views));
  }

  movesTable(views) {
    const of = views.map(({ candidates }) => new Map(candidates.map((one) => [one.action, one])));
    const weight = (action) => Math.max(...of.map((by) => Math.max(by.get(action).weight || 0, by.get(action).prior || 0)));
    const actions = views[0].candidates.map(({ action }) => action).sort((a, b) => weight(b) - weight(a)).slice(0, VIEW_ROWS);
    const cell = (action, key, shown) => of.map((by) => (by.get(action)[key] == null ? "" : shown(by.get(action)[key])));
    const names = this.players.map(({ value }) => playerName(value));
    const both = (title) => names.map((name) => `${title}, ${name}`);
    return table(["Move", ...both("network"), ...both("search"), ...both("value")], actions.map((action) => [
      h("span", {}, of[0].get(action).name, views.map((view, k) => bestOf(view) === action && h("span", { class: "tag", title: `${names[k]} plays it` }, k ? "second" : "first"))),
      ...cell(action, "prior", percent), ...cell(action, "weight", percent), ...cell(action, "q", signed)]));
  }
}

// Returns what a board shows of a player's view.
export function viewHeat(view, shown) {
  const { candidates } = view, best = bestOf(view);
  const visits = candidates.reduce((sum, one) => sum + one.visits, 0);
  return candidates.filter((one) => one[shown] != null).map((one) => {
    const share = shown === "visits" ? (visits ? one.visits / visits : 0) : one[shown];
    const weight = shown === "q" && visits ? Math.sqrt(one.visits / visits) : 1;
    const text = shown === "q" ? signed(one.q) : shown === "visits" ? String(one.visits) : percent(share, 0);
    return { action: one.action, value: share, weight, text, best: one.action === best };
  });
}

// Returns the move that a player prefers, null where all are equal to it: then it plays any.
export function bestOf({ candidates, best }) {
  const shares = candidates.map(({ weight, prior }) => weight ?? prior);
  const equal = shares.length > 1 && shares.every((share) => Math.abs(share - shares[0]) < EQUAL);
  return equal ? null : best;
}

function valueInWords(view, position) {
  const alone = view.value === view.raw_value ? "" : ` (network alone ${signed(view.raw_value)})`;
  const any = bestOf(view) == null ? "; all moves are equal to it" : "";
  return `Value for ${seatAsSubject(position, view.to_play)}: ${signed(view.value)}${alone}${any}`;
}

// Returns how far two players are apart, with what the numbers mean.
export function apartInWords(apart) {
  return `They differ by ${apart.policy.toFixed(3)} nats in policy (Jensen-Shannon divergence, 0 to ln 2 = 0.693) and ${apart.value.toFixed(2)} in value (0 to 2).`;
}

// Returns two players to begin with: a run's newest checkpoint and the one before, else another run's newest, else
// one that comes with the package.
async function usualPlayers({ runs, shipped }, game, signal) {
  const [first, second] = [...runs, ...shipped].filter((run) => run.game === game).map(({ name }) => name);
  if (!first) return ["uniform", "random"];
  const { steps } = isShipped(first) ? { steps: [] } : await checkpointsOf(first, signal).catch(() => ({ steps: [] }));
  return [first, steps.length > 1 ? `${first}@${steps[steps.length - 2]}` : second || "uniform"];
}
