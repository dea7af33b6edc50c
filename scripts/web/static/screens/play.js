// Play against any player, and see what a search thinks of any position.

import { ApiError, ask, get } from "../lib/api.js";
import { Board, heatLegend, placesOf } from "../lib/board.js";
import { Candidates } from "../lib/candidates.js";
import { clear, h, signed } from "../lib/dom.js";
import { GameFiles } from "../lib/gamefiles.js";
import { PlaySetup, strongest } from "../lib/playsetup.js";
import { checkpointsOf, playerName, splitPlayer } from "../lib/players.js";
import { Positions } from "../lib/positions.js";
import { Review, lossOf, mistakesOf } from "../lib/review.js";
import { ValueGraph } from "../lib/valuegraph.js";
import { VariationView, Variations } from "../lib/variations.js";

const PERSON = "person"; // in records, as `selfplay play` writes it
const PLIES = 8; // of an expected line
const PAUSE = 120; // ms that one stays in a position before it is searched
const WHEEL_TURN = 50; // what the wheel turns for one move
const HEATS = [["off", "Off"], ["prior", "Prior"], ["visits", "Visits"], ["q", "Q"]];
const DRAWN = "both by hand";

export async function show(root, params, page) {
  const begun = await beginning(params, page.signal);
  const screen = new Play(root, page, begun);
  await screen.begin(begun);
}

// Returns what the address asks for, and what is played where it says nothing.
async function beginning(params, signal) {
  const [{ runs: found }, { games }] = await Promise.all([get("runs", {}, signal), get("catalogue", {}, signal)]);
  const runs = await withGames(found, signal);
  const record = params.file ? await get("record", { run: params.run, file: params.file, index: params.index }, signal) : null;
  const named = params.player ?? params.run;
  const gameOf = (player) => runs.find(({ name }) => name === splitPlayer(player || "").run)?.game;
  const newest = runs.find((run) => run.game);
  const game = record?.game || params.game || gameOf(named) || newest?.game || "connect_four";
  const alone = record || named === "";
  const player = alone ? "" : named ?? strongest(runs, game);
  const analyst = params.analyst || (gameOf(player) ? player : gameOf(params.run) === game ? params.run : strongest(runs, game));
  const moves = (params.moves || "").split(",").filter(Boolean).map(Number);
  return { games, runs, record, game, player, analyst, moves, ply: params.ply, seat: params.seat === "1" ? 1 : 0,
    simulations: params.simulations, temperature: params.temperature };
}

// Runs with their games, where the server's list does not say them.
function withGames(runs, signal) {
  return Promise.all(runs.map(async (run) => {
    if ("game" in run) return run;
    return { ...run, game: await checkpointsOf(run.name, signal).then(({ game }) => game, () => "") };
  }));
}

class Play {
  constructor(root, page, begun) {
    Object.assign(this, { root, page, running: {}, heat: "visits", players: null, position: null, turned: 0, seed: lot() });
    this.review = new Review(() => this.reviewed());
    this.build(begun);
    this.keys();
  }

  // Where everything is.

  build(begun) {
    const { signal } = this.page;
    const setup = h("div", {});
    this.setup = new PlaySetup(setup, { ...begun, begun, signal,
      onGame: () => this.newGame(),
      onPlayer: () => this.changed(),
      onSeat: () => this.changed(),
      onSearch: () => this.changed(),
      onNew: () => { this.setup.details.open = false; this.newGame(); } });
    this.sides = h("div", { class: "sides" });
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    const boardRoot = h("div", {});
    this.board = new Board(boardRoot, { onMove: (move) => this.moved(move), label: "Board" });
    boardRoot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.files = new GameFiles(h("div", {}), this.root, { signal,
      onLoad: (record) => this.load(record),
      game: () => this.game,
      record: () => this.record(this.tree.line),
      onError: (error) => this.page.fail(error) });
    const graph = h("div", {});
    this.graph = new ValueGraph(graph, { onGo: (ply) => this.toPly(ply) });
    this.value = h("div", { class: "value" });
    this.table = new Candidates(h("div", {}), {
      onPreview: (line, walked) => this.preview(line, walked), onPlay: (line, names) => this.take(line, names) });
    this.moves = new VariationView(h("div", { tabindex: "-1" }), { onGo: (node) => this.go(node), about: aboutMove });
    this.mistakes = h("div", { class: "mistakes" });
    clear(this.root,
      h("h1", { class: "visually-hidden" }, "Play and analyse"),
      setup,
      h("div", { class: "play-columns" },
        h("section", { class: "card board-card", "aria-label": "Board" }, this.sides, boardRoot, this.status, this.walkButtons(), this.gameButtons()),
        h("div", {},
          h("section", { class: "card", "aria-label": "Analysis" }, this.analysisBar(), this.value, this.table.root),
          h("section", { class: "card", "aria-label": "Game" }, h("h2", {}, "Game"), graph, this.mistakes, this.moves.root, this.moveButtons()),
          h("section", { class: "card", "aria-label": "Files" }, h("h2", {}, "Files"), this.files.root))));
  }

  walkButtons() {
    const button = (text, label, action) => h("button", { type: "button", class: "walk", title: label, "aria-label": label, onclick: action }, text);
    this.walking = {
      first: button("⏮", "First position (Home)", () => this.go(this.tree.root)),
      back: button("◀", "Back (Left, wheel)", () => this.back()),
      forward: button("▶", "Forward (Right, wheel)", () => this.forward()),
      last: button("⏭", "Last position (End)", () => this.go(this.tree.line.at(-1))),
    };
    return h("div", { class: "walks", role: "group", "aria-label": "Walk through the game" }, Object.values(this.walking));
  }

  gameButtons() {
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    this.actions = {
      reply: button("Let it move", "The opponent moves here (Space)", () => this.reply()),
      undo: button("Undo", "Takes back your last move (u)", () => this.undo()),
      redo: button("Redo", "What was taken back (r)", () => this.redo()),
      hint: button("Hint", "What a search would play here (h)", () => this.hint()),
      resign: button("Resign", "Gives up this game", () => this.resign()),
      swap: button("Swap sides", "You take the other seat (s)", () => this.swap()),
      fresh: button("New game", "From the opening position", () => this.newGame()),
    };
    return h("div", { class: "row actions" }, Object.values(this.actions));
  }

  analysisBar() {
    this.analysisBox = h("input", { type: "checkbox", onchange: () => this.changed() });
    this.heatButtons = HEATS.map(([key, text]) => h("button", { type: "button", "data-heat": key, onclick: () => this.setHeat(key) }, text));
    this.legend = h("span", {});
    return h("div", {},
      h("div", { class: "row analysis-bar" },
        h("h2", {}, "Analysis"),
        h("label", { title: "Search each position that you come to (a)" }, this.analysisBox, " of every position")),
      h("div", { class: "row heat-bar", role: "group", "aria-label": "Heat map on the board" },
        h("span", { class: "quiet" }, "On the board:"), h("span", { class: "joined" }, this.heatButtons), this.legend));
  }

  moveButtons() {
    this.removing = h("button", { type: "button", title: "Removes this move and all after it (Delete)", onclick: () => this.remove() }, "Remove from here");
    return h("div", { class: "row" }, this.removing);
  }

  keys() {
    const { onKey } = this.page;
    onKey("ArrowLeft", "one move back (the wheel over the board too)", () => this.back());
    onKey("ArrowRight", "one move forward", () => this.forward());
    onKey("ArrowUp", "the variation before", () => this.go(this.tree.beside(this.tree.current, -1)));
    onKey("ArrowDown", "the next variation", () => this.go(this.tree.beside(this.tree.current, 1)));
    onKey("Home", "first position", () => this.go(this.tree.root));
    onKey("End", "last position", () => this.go(this.tree.line.at(-1)));
    onKey("n", "next mistake (searches the game first)", () => this.nextMistake(1));
    onKey("Shift+N", "previous mistake", () => this.nextMistake(-1));
    onKey("h", "hint: what a search would play", () => this.hint());
    onKey("u", "undo: take back your last move", () => this.undo());
    onKey("r", "redo", () => this.redo());
    onKey("a", "analysis of every position, on or off", () => { this.analysisBox.checked = !this.analysisBox.checked; this.changed(); });
    onKey("m", "heat map: prior, visits, Q, off", () => this.nextHeat());
    onKey("s", "swap sides", () => this.swap());
    onKey("b", "to the board: arrows move, Enter plays, Escape leaves", () => this.board.focus());
    onKey(" ", "let the opponent move", () => this.reply());
    onKey("Delete", "remove this move and all after it", () => this.remove());
  }

  // Beginning.

  async begin(begun) {
    this.analysisBox.checked = !this.setup.player;
    if (begun.record) await this.load(begun.record, false);
    else this.reset();
    if (begun.moves.length) await this.addLine(begun.moves);
    const line = this.tree.line;
    await this.go(line[Math.min(begun.ply ?? (begun.record && !begun.moves.length ? 0 : Infinity), line.length - 1)]);
    if (!begun.record && !begun.moves.length && this.isOpponents()) await this.reply();
  }

  get game() {
    return this.setup.game.value;
  }

  reset() {
    for (const name of Object.keys(this.running)) this.running[name].abort();
    this.review.forget();
    this.tree = new Variations();
    this.positions = new Positions(this.game);
    this.players = null;
    this.seed = lot();
    this.files.setGame(this.game);
    this.moves.draw(this.tree);
  }

  async newGame() {
    this.reset();
    await this.go(this.tree.root);
    if (this.isOpponents()) await this.reply();
  }

  // Shows a record of a game; nobody plays against it.
  async load(record, goes = true) {
    this.setup.setGame(record.game);
    this.setup.opponent.set("");
    this.setup.tell();
    this.reset();
    this.analysisBox.checked = true;
    this.players = record.players;
    await this.addLine(record.moves);
    const end = this.tree.line.at(-1);
    if (record.ended_by || record.extra?.ended_by) end.ended = { by: record.ended_by || record.extra.ended_by, returns: record.returns };
    if (goes) await this.go(this.tree.root);
  }

  // Adds moves from the opening on to the tree.
  async addLine(moves) {
    const signal = this.fresh("names");
    const { names, seats } = await this.tried(ask("names", { game: this.game, moves }, { signal, onNote: (note) => this.say(note) })) || {};
    if (!names) return;
    let node = this.tree.root;
    moves.forEach((action, k) => { node = this.tree.add(node, action, names[k], seats[k]); });
    this.tree.go(node);
    this.moves.draw(this.tree);
  }

  // Walking.

  async go(node) {
    this.stop("position", "move", "analyse", "preview");
    this.tree.go(node);
    this.moves.mark(this.tree);
    const slow = setTimeout(() => this.say("…"), 200);
    const signal = this.fresh("position");
    const position = await this.tried(this.positions.at(node.moves, { signal, onNote: (note) => this.say(note) }));
    clearTimeout(slow);
    if (!position || this.tree.current !== node) return;
    node.position = position;
    this.position = position;
    this.draw();
    this.remember();
    if (this.analysisBox.checked && !this.isOver() && !this.isOpponents()) this.later(node);
  }

  later(node) {
    setTimeout(() => { if (this.tree.current === node) this.analyse(); }, PAUSE);
  }

  back() {
    if (this.tree.current.parent) this.go(this.tree.current.parent);
  }

  forward() {
    const { current } = this.tree;
    const next = current.next || current.children[0];
    if (next) this.go(next);
  }

  toPly(ply) {
    const node = this.tree.line[ply];
    if (node) this.go(node);
  }

  wheel(event) {
    const { current } = this.tree;
    const ends = event.deltaY < 0 ? !current.parent : !current.children.length;
    if (event.ctrlKey || ends) return;
    event.preventDefault();
    this.turned += event.deltaY;
    if (Math.abs(this.turned) < WHEEL_TURN) return;
    if (this.turned < 0) this.back();
    else this.forward();
    this.turned = 0;
  }

  // Playing.

  isOver() {
    return Boolean(this.position?.over || this.tree.current.ended);
  }

  isOpponents() {
    return Boolean(this.setup.player && this.position && !this.isOver() && this.position.to_play !== this.setup.seat);
  }

  // Somebody has clicked a move.
  async moved(move) {
    await this.step(move.action, move.name);
    if (this.isOpponents()) await this.reply();
  }

  async step(action, name) {
    const { current } = this.tree;
    const known = current.children.length;
    const child = this.tree.add(current, action, name, this.position.to_play);
    this.tree.go(child);
    if (current.children.length > known) this.moves.draw(this.tree);
    await this.go(child);
    if (this.isOver()) this.keep();
  }

  // The opponent moves, as long as it is its turn.
  async reply() {
    if (!this.isOpponents()) return;
    const node = this.tree.current;
    const signal = this.fresh("move");
    const name = playerName(this.setup.player);
    this.board.disable();
    this.thinking = `${name} thinks`;
    this.tell();
    const args = { ...this.asked(this.setup.player), temperature: this.setup.temperature, seed: this.seed };
    const answer = await this.tried(ask("move", args, { signal, onNote: (note) => this.say(`${name}: ${note}`) }));
    this.thinking = "";
    if (!answer || this.tree.current !== node) return this.tree.current === node ? this.draw() : undefined;
    this.learn(node, this.setup.player, answer);
    if (answer.action === null || answer.action === undefined) {
      this.end(1 - this.position.to_play, answer.fault ? "forfeit" : "resignation");
      return;
    }
    await this.step(answer.action, this.position.moves.find(({ action }) => action === answer.action)?.name || "");
    if (this.isOpponents()) await this.reply();
  }

  undo() {
    const { current } = this.tree;
    if (current.ended && !this.position.over) {
      delete current.ended;
      this.draw();
      return;
    }
    const own = (node) => !this.setup.player || node.seat === this.setup.seat;
    const last = current.path.reverse().find((node) => node.parent && own(node));
    if (last) this.go(last.parent);
  }

  redo() {
    const after = this.tree.current.onward.slice(1);
    const turn = after.find((node, k) => !this.setup.player || (node.children[0] || node.next || {}).seat === this.setup.seat || k === after.length - 1);
    if (turn) this.go(turn);
  }

  resign() {
    if (this.setup.player && !this.isOver()) this.end(1 - this.setup.seat, "resignation");
  }

  // Ends a game before the rules do.
  end(winner, by) {
    this.stop("move", "analyse");
    this.thinking = "";
    this.tree.current.ended = { by, returns: winner === 0 ? [1, -1] : [-1, 1] };
    this.draw();
    this.keep();
  }

  async swap() {
    if (!this.setup.player) return;
    this.setup.seat = 1 - this.setup.seat;
    this.stop("move");
    this.thinking = "";
    this.draw();
    this.remember();
    if (this.isOpponents()) await this.reply();
  }

  remove() {
    const { current } = this.tree;
    if (!current.parent) return;
    const stay = this.tree.remove(current);
    this.moves.draw(Object.assign(this.tree, { current: stay }));
    this.go(stay);
  }

  // Takes moves of an expected line onto the board.
  async take(line, names) {
    let node = this.tree.current;
    const { game } = this;
    const moves = [...node.moves, ...line];
    const { seats } = await this.tried(ask("names", { game, moves }, { signal: this.fresh("names") })) || {};
    if (!seats) return;
    line.forEach((action, k) => { node = this.tree.add(node, action, names[k], seats[node.ply]); });
    this.tree.go(node);
    this.moves.draw(this.tree);
    await this.go(node);
    if (line.length === 1 && this.isOpponents()) await this.reply();
  }

  record(line) {
    const end = line.at(-1);
    const { player, seat } = this.setup;
    const names = [PERSON, PERSON];
    if (player) names[1 - seat] = playerName(player);
    return { game: this.game, moves: end.moves, players: this.players || names, returns: returnsOf(end), ended_by: end.ended?.by || null };
  }

  // Adds a finished game to its run, once.
  async keep() {
    const run = this.setup.keeping;
    const { current } = this.tree;
    if (!run || current.kept || this.players) return;
    current.kept = true;
    const record = this.record(current.path);
    const answer = await this.tried(ask("keep", { run, ...record }, { signal: this.page.signal }));
    if (answer) current.keptIn = `kept in ${run}/games/played.jsonl`;
    else current.kept = false;
    this.tell();
  }

  // Thinking.

  asked(player) {
    return { game: this.game, player, moves: this.tree.current.moves, simulations: this.setup.simulations };
  }

  async analyse() {
    const node = this.tree.current;
    if (this.isOver()) return;
    const player = this.setup.analysing;
    if (this.knownOf(node)) {
      this.drawAnalysis();
      return;
    }
    const signal = this.fresh("analyse");
    this.thinking = "searching";
    this.tell();
    const args = { ...this.asked(player), plies: PLIES };
    const onPart = (part) => this.learn(node, player, part, true);
    const answer = await this.tried(ask("analyse", args, { signal, onPart, onNote: (note) => this.say(note) }));
    if (this.tree.current !== node || signal.aborted) return;
    this.thinking = "";
    if (answer) this.learn(node, player, answer);
    this.tell();
  }

  // Keeps an analysis with its position, and shows it.
  learn(node, player, analysis, isPart = false) {
    if (!analysis.candidates) return;
    node.analyses = node.analyses || new Map();
    node.analyses.set(analysisKey(player, isPart ? -1 : this.setup.simulations), analysis);
    if (this.tree.current === node) this.drawAnalysis();
  }

  // What is known of a position by the player and simulations of now.
  knownOf(node) {
    return node.analyses?.get(analysisKey(this.setup.analysing, this.setup.simulations));
  }

  shownOf(node) {
    return this.knownOf(node) || node.analyses?.get(analysisKey(this.setup.analysing, -1));
  }

  isShown(node) {
    return this.analysisBox.checked || node.hinted || !this.setup.player;
  }

  async hint() {
    if (this.isOver()) return;
    this.tree.current.hinted = true;
    await this.analyse();
    this.drawAnalysis();
  }

  changed() {
    this.stop("analyse");
    this.thinking = this.running.move ? this.thinking : "";
    this.draw();
    this.remember();
    if (this.analysisBox.checked && this.position && !this.isOpponents()) this.later(this.tree.current);
  }

  // Drawing.

  draw() {
    const { position } = this;
    if (!position) return;
    this.board.show(position);
    if (this.isOver() || this.running.move) this.board.disable();
    else this.board.enable();
    this.drawSides();
    this.drawAnalysis();
    const { current } = this.tree;
    const { walking, actions, setup } = this;
    walking.first.disabled = walking.back.disabled = !current.parent;
    walking.forward.disabled = walking.last.disabled = !current.children.length;
    this.removing.disabled = !current.parent;
    actions.undo.disabled = !current.parent && !current.ended;
    actions.redo.disabled = !current.children.length;
    actions.hint.disabled = this.isOver();
    actions.resign.hidden = actions.swap.hidden = !setup.player;
    actions.resign.disabled = this.isOver();
    this.tell();
  }

  drawSides() {
    const { setup } = this;
    const who = (seat) => {
      if (this.players) return this.players[seat];
      if (!setup.player) return "";
      return seat === setup.seat ? "you" : playerName(setup.player);
    };
    const turn = this.isOver() ? null : this.position.to_play;
    clear(this.sides, [0, 1].map((seat) => h("span", { class: `side seat${seat}`, "aria-current": seat === turn ? "true" : null },
      h("span", { class: "dot", "aria-hidden": "true" }), h("strong", {}, this.seatName(seat)), who(seat) && ` ${who(seat)}`,
      seat === turn && h("span", { class: "turn" }, "to play"))));
  }

  drawAnalysis() {
    const node = this.tree.current;
    const analysis = this.isShown(node) && !this.isOver() ? this.shownOf(node) : null;
    const seat = this.position.to_play;
    this.drawValue(analysis, seat);
    this.table.draw(analysis, this.seatName(seat));
    this.drawHeat(analysis);
    this.drawMarks(node);
    this.drawGraph();
    this.drawMistakes();
  }

  drawValue(analysis, seat) {
    if (!analysis) {
      const why = this.isOver() ? "The game is over." : this.isShown(this.tree.current)
        ? "" : "Hidden while you play: tick the box above, or ask for a hint.";
      clear(this.value, why && h("p", { class: "quiet" }, why));
      return;
    }
    const first = seat === 0 ? analysis.value : -analysis.value;
    const filled = h("span", { class: "filled" });
    filled.style.width = `${50 * (first + 1)}%`;
    const simulations = analysis.simulations ?? this.setup.simulations;
    clear(this.value,
      h("p", {}, "Value for ", h("strong", {}, this.seatName(seat)), " (to play): ",
        h("strong", { class: "figure", title: "from −1, a sure loss, to +1, a sure win" }, signed(analysis.value)),
        h("span", { class: "quiet" }, ` · ${simulations} simulations by ${playerName(this.setup.analysing)}`,
          analysis.raw_value != null && ` · network alone ${signed(analysis.raw_value)}`)),
      h("div", { class: "value-bar", role: "img", "aria-label": `${this.seatName(0)} ${signed(first)}` }, filled));
  }

  drawHeat(analysis) {
    for (const button of this.heatButtons) button.setAttribute("aria-pressed", String(button.dataset.heat === this.heat));
    const kind = this.heat === "q" ? "value" : "share";
    clear(this.legend, this.heat !== "off" && analysis ? heatLegend(kind) : "");
    this.board.heat(analysis && this.heat !== "off" ? heatOf(analysis, this.heat) : null, kind);
  }

  drawMarks(node) {
    const { review } = node;
    const marks = [];
    if (review?.mistake) marks.push({ action: review.best, kind: "best" }, { action: review.played, kind: "played" });
    else if (node.hinted && this.shownOf(node)) marks.push({ action: this.shownOf(node).best, kind: "hint" });
    this.board.marks(marks.length ? marks : null);
  }

  drawGraph() {
    const line = this.tree.line;
    const known = line.map((node, ply) => this.pointOf(node, ply)).filter(Boolean);
    const flags = mistakesOf(line).map((node) => ({ ply: node.ply, value: node.review.value, seat: line[node.ply + 1].seat }));
    this.graph.root.hidden = known.length === 0;
    this.graph.draw({ points: known, plies: line.length - 1, ply: this.tree.current.ply, mistakes: flags,
      sides: [`${this.seatName(0)} wins`, `${this.seatName(1)} wins`] });
  }

  // What is known of the value of a position, for seat 0.
  pointOf(node, ply) {
    const words = (value, visits) => `after ${ply} moves: value for ${this.seatName(0)} ${signed(value)}${visits === Infinity ? ", the result" : `, ${visits} visits`}`;
    const point = (value, visits) => ({ ply, value, visits, text: words(value, visits) });
    if (node.position?.over) return point(node.position.returns[0], Infinity);
    if (node.review) return point(node.review.value, node.review.exact ? Infinity : node.review.visits);
    const analysis = this.isShown(node) && node.position && this.shownOf(node);
    if (!analysis) return null;
    const visits = analysis.candidates.reduce((sum, one) => sum + one.visits, 0);
    return point(node.position.to_play === 0 ? analysis.value : -analysis.value, visits);
  }

  setHeat(key) {
    this.heat = key;
    if (key !== "off" && !this.isShown(this.tree.current)) this.hint();
    this.drawAnalysis();
  }

  nextHeat() {
    const keys = HEATS.map(([key]) => key);
    this.setHeat(keys[(keys.indexOf(this.heat) + 1) % keys.length]);
  }

  // Shows an expected line: its numbers on the board, or, walked, the board at its end.
  async preview(line, walked) {
    this.stop("preview");
    if (!line) {
      if (this.previewed) this.draw();
      this.previewed = false;
      return;
    }
    const node = this.tree.current;
    const signal = this.fresh("preview");
    const boards = await this.positions.along(node.moves, line, { signal }).catch(() => null);
    if (!boards || this.tree.current !== node || signal.aborted) return;
    const steps = line.map((action, k) => ({ places: placesOf(boards[k], action), seat: boards[k].to_play, number: k + 1 }));
    this.previewed = true;
    this.board.show(walked ? boards.at(-1) : this.position);
    if (walked) this.board.disable();
    else if (!this.isOver()) this.board.enable();
    this.board.line(steps);
  }

  // Mistakes.

  async findMistakes() {
    this.review.run(this.tree.line, { ...this.asked(this.setup.analysing) }, this.page.signal).catch((error) => this.page.fail(error));
  }

  reviewed() {
    this.moves.draw(this.tree);
    this.drawAnalysis();
  }

  nextMistake(by) {
    const line = this.tree.line;
    const found = mistakesOf(line).map((node) => node.ply);
    if (!found.length && !this.review.running && !this.review.done) {
      this.findMistakes();
      return;
    }
    const at = this.tree.current.ply;
    const next = by > 0 ? found.find((ply) => ply > at) : found.findLast((ply) => ply < at);
    if (next !== undefined) this.toPly(next);
  }

  drawMistakes() {
    const { review } = this;
    const line = this.tree.line;
    const found = mistakesOf(line);
    const worst = found.slice().sort((a, b) => Math.abs(b.review.regret) - Math.abs(a.review.regret));
    const positions = line.length - 1;
    if (!positions) {
      clear(this.mistakes);
      return;
    }
    const button = (text, title, action, attributes) => h("button", { type: "button", title, onclick: action, ...attributes }, text);
    clear(this.mistakes,
      h("div", { class: "row" },
        review.running
          ? button("Stop", "Stops the search of the game", () => review.stop())
          : button("Find the mistakes", "Searches every position of this game and compares the moves", () => this.findMistakes(), { class: "primary" }),
        button("◀ Previous", "Previous mistake (Shift+N)", () => this.nextMistake(-1), { disabled: !found.length }),
        button("Next ▶", "Next mistake (n)", () => this.nextMistake(1), { disabled: !found.length })),
      review.running && h("p", { class: "quiet", role: "status" }, review.note || `searching: ${review.done} of ${positions} positions`),
      found.length > 0 && h("ol", { class: "mistake-list", "aria-label": "Mistakes, the worst first" }, worst.map((node) => this.mistakeItem(node, line))),
      !found.length && !review.running && review.done > 0 && h("p", { class: "good" }, "No mistakes found."));
  }

  mistakeItem(node, line) {
    const { review } = node;
    const played = line[node.ply + 1];
    const better = review.best_name ?? node.position?.moves.find(({ action }) => action === review.best)?.name;
    return h("li", {}, h("button", { type: "button", class: "link", onclick: () => this.go(node) },
      `move ${played.ply}: ${this.seatName(played.seat)} played ${played.name}`),
    better && `, better ${better}`, h("span", { class: "quiet" }, ` · loses ${lossOf(review)}`));
  }

  // Saying.

  seatName(seat) {
    return this.position?.marks?.[seat] || `seat ${seat}`;
  }

  // Says something about what is under way.
  say(text) {
    clear(this.status, text);
  }

  tell() {
    if (this.position) this.say(this.sentence());
  }

  sentence() {
    const { current } = this.tree;
    const { setup } = this;
    const returns = returnsOf(current);
    if (returns) {
      const [first, second] = returns;
      const winner = first > second ? 0 : 1;
      const who = this.seatName(winner) + (setup.player && !this.players ? (winner === setup.seat ? ", you," : `, ${playerName(setup.player)},`) : "");
      const how = current.ended ? ` by ${current.ended.by}` : "";
      return `${first === second ? "A draw" : `${who} wins`}${how}.${current.keptIn ? ` Game ${current.keptIn}.` : ""}`;
    }
    if (this.thinking) return `${this.thinking} …`;
    const turn = this.seatName(this.position.to_play);
    if (!setup.player) return `${turn} to play.`;
    this.actions.reply.hidden = !this.isOpponents();
    return this.isOpponents() ? `${turn}, ${playerName(setup.player)}, is to play here.` : `Your move: you are ${turn}.`;
  }

  // Keeps what one sees in the address.
  remember() {
    const { setup } = this;
    const line = this.tree.line;
    this.page.keep({ game: this.game, player: setup.player, analyst: setup.analysing, seat: setup.player ? setup.seat : null,
      simulations: setup.simulations, temperature: setup.player ? setup.temperature : null,
      moves: line.at(-1).moves.join(), ply: this.tree.current.ply });
  }

  // Questions, of which a new one of a kind ends the one before.

  fresh(name) {
    this.stop(name);
    const controller = this.running[name] = new AbortController();
    this.page.signal.addEventListener("abort", () => controller.abort(), { once: true });
    return controller.signal;
  }

  stop(...names) {
    for (const name of names) {
      this.running[name]?.abort();
      delete this.running[name];
    }
  }

  // Returns an answer; undefined if it was called off or failed, which is shown.
  async tried(answer) {
    try {
      return await answer;
    } catch (error) {
      if (error.name !== "AbortError") this.page.fail(error);
      return undefined;
    }
  }
}
