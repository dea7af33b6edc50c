// Play against any player, and see what a search thinks of any position.

import { Asker, ask, get } from "../lib/api.js";
import { placesOf } from "../board/board.js";
import { splitPlayer, trainedFor } from "../lib/players.js";
import { PlayView } from "./playview.js";
import { Positions } from "../board/positions.js";
import { Review, mistakesOf } from "./review.js";
import { Variations } from "./variations.js";

const PERSON = "person"; // in records, as `selfplay play` writes it
const NOBODY = "none"; // in the address: the person moves for both seats
const PLIES = 8; // of an expected line
const PAUSE = 120; // ms that one stays in a position before it is searched
const SLOW = 300; // ms after which a board that has not come is said to be loading
const SEEDS = 2 ** 31;

export async function show(root, params, page) {
  const begun = await beginning(params, page.signal);
  await new Play(root, page, begun).begin(begun);
}

// Returns what the address asks for, and what is played where it says nothing.
async function beginning(params, signal) {
  const { run, file, index } = params;
  const [{ runs, shipped }, { games, game: asked }, record] = await Promise.all([
    get("runs", {}, signal), get("catalogue", { game: params.game }, signal), file ? get("record", { run, file, index }, signal) : null]);
  const gameOf = (player) => [...runs, ...shipped].find(({ name }) => name === splitPlayer(player || "").run)?.game;
  const named = params.player ?? run;
  const game = record?.game || gameOf(named) || asked || runs.find((one) => one.game && one.step !== null)?.game || "connect_four";
  const player = record || named === NOBODY ? "" : named ?? (trainedFor(runs, shipped, game) || "uniform");
  const analysts = [params.analyst, player, run].filter((one) => one && (gameOf(one) || (one === params.analyst && game)) === game);
  return {
    games, runs, shipped, record, game, player,
    source: record ? { run, file, index } : null,
    analyst: analysts[0] || trainedFor(runs, shipped, game),
    moves: (params.moves || "").split(",").filter(Boolean).map(Number),
    ply: params.ply === undefined ? null : Number(params.ply),
    seat: params.seat === "1" ? 1 : 0,
    simulations: params.simulations,
    temperature: params.temperature,
  };
}

class Play {
  constructor(root, page, begun) {
    Object.assign(this, { page, askers: {}, note: "", heat: "visits", turn: null, failed: false, position: null, source: begun.source });
    this.review = new Review(page, () => this.view.reviewed());
    this.tree = new Variations();
    this.view = new PlayView(root, this, begun);
    this.setup = this.view.setup;
  }

  async begin({ record, moves, ply }) {
    this.view.analysisBox.checked = !this.setup.player;
    this.view.draw();
    if (record) await this.load(record, this.source);
    else this.reset();
    if (moves.length) await this.addLine(moves);
    const { line } = this.tree;
    const last = record && !moves.length ? 0 : line.length - 1;
    await this.go(line[Math.min(ply ?? last, line.length - 1)]);
    if (!record && !moves.length) await this.reply();
  }

  get game() { return this.setup.game.value; }

  reset() {
    this.halt();
    this.stop(...Object.keys(this.askers));
    this.review.stop();
    this.review.done = 0;
    this.tree = new Variations();
    this.positions = new Positions(this.game);
    this.players = null; // of a record, by seat
    this.seed = Math.floor(Math.random() * SEEDS);
    this.view.began();
  }

  async newGame() {
    this.source = null;
    this.reset();
    this.remember(); // the board may be long in coming
    await this.go(this.tree.root);
    await this.reply();
  }

  // Takes a record of a game; nobody plays against the person in it. Returns what is to be said of it.
  async load(record, source = null) {
    this.source = source;
    this.setup.setGame(record.game);
    this.setup.opponent.set("");
    this.setup.tell();
    this.reset();
    this.remember();
    this.view.analysisBox.checked = true;
    this.players = record.players;
    const notes = await this.addLine(record.moves, record.variations);
    const by = record.ended_by || record.extra?.ended_by;
    const { current } = this.tree;
    if (by) current.ended = { by, returns: record.returns };
    current.said = record.result || record.extra?.result || ""; // what the file says of the end
    return notes;
  }

  async loadAndShow(record) {
    const notes = await this.load(record);
    await this.go(this.tree.root);
    return notes;
  }

  // Adds moves from the opening on, and stands at their end; then variations beside them, each a
  // [parent, action] as `Variations.asides` gives. Returns what is to be said of those.
  async addLine(moves, variations = []) {
    const { tree } = this;
    const answer = await this.asking("names", (options) => ask("names", { game: this.game, moves, variations }, options));
    if (!answer) return [];
    const nodes = [tree.root];
    moves.forEach((action, k) => nodes.push(tree.add(nodes[k], action, answer.names[k], answer.seats[k])));
    tree.go(nodes.at(-1));
    variations.forEach(([parent, action], k) => {
      const told = answer.variations[k]; // null if the rules forbid it
      nodes.push(told && tree.add(nodes[parent], action, told.name, told.seat));
    });
    this.view.drawMoves();
    return answer.notes;
  }

  // Walking.

  go(node) {
    this.halt();
    return this.arrive(node);
  }

  async arrive(node) {
    this.stop("position", "analyse", "preview", "names");
    this.tree.go(node);
    this.view.moves.mark(this.tree);
    const position = await this.asking("position", (options) => this.positions.at(node.moves, options));
    if (this.tree.current !== node || this.isRunning("position")) return;
    this.failed = !position;
    if (!position) {
      this.position = null;
      this.view.draw();
      return;
    }
    this.position = node.position = position;
    this.view.draw();
    this.remember();
    this.analyseSoon();
  }

  aside(by) { this.go(this.tree.beside(this.tree.current, by)); }

  toPly(ply) {
    const node = this.tree.line[ply];
    if (node) this.go(node);
  }

  // Playing.

  isOver() {
    return Boolean(this.position?.over || this.tree.current.ended);
  }

  isOpponents() {
    return Boolean(this.setup.player && this.position && this.isSettled() && !this.isOver() && this.position.to_play !== this.setup.seat);
  }

  // Whether the board shows where one stands, and not still where one stood.
  isSettled() {
    return this.tree.current.position === this.position;
  }

  // Whether the opponent is about to move.
  get awaited() {
    return Boolean(this.turn && this.setup.player);
  }

  // The opponent shall not move now.
  halt() {
    this.turn = null;
    this.stop("move");
  }

  // The person plays a move.
  async moved(move) {
    if (!this.isSettled()) return;
    const turn = this.turn = {};
    this.view.tell();
    await this.step(move.action, move.name);
    if (this.turn === turn) await this.reply();
  }

  async step(action, name) {
    this.view.board.disable();
    const { current } = this.tree;
    const known = current.children.length;
    const child = this.tree.add(current, action, name, this.position.to_play);
    // Against a player the game that is played is the main line; what was taken back stands aside.
    const isAside = Boolean(this.setup.player) && !this.tree.isMain(child);
    if (isAside) this.tree.promote(child);
    if (isAside || current.children.length > known) this.view.drawMoves();
    await this.arrive(child);
    if (this.isSettled() && this.isOver()) this.keep();
  }

  // The opponent moves, as long as it is its turn and nobody walks away.
  async reply() {
    const turn = this.turn = {};
    while (this.turn === turn && this.isOpponents()) {
      const node = this.tree.current;
      const { player, temperature } = this.setup;
      this.view.enable();
      const args = { ...this.asked(player), temperature, seed: this.seed };
      const answer = await this.asking("move", (options) => ask("move", args, options));
      if (!answer || this.turn !== turn) break;
      this.learn(node, player, answer, true);
      if (answer.action == null) this.end(1 - this.position.to_play, answer.forfeits ? "forfeit" : "resignation");
      else await this.step(answer.action, answer.name);
    }
    if (this.turn !== turn) return;
    this.halt();
    this.view.enable();
    this.view.tell();
  }

  undo() {
    const { current } = this.tree;
    if (current.ended && !this.position.over) {
      delete current.ended;
      delete current.said;
      this.view.draw();
      return;
    }
    const own = current.path.reverse().find((node) => node.parent && this.isOwn(node));
    if (own) this.go(own.parent);
  }

  // Whether a move is one that the person makes.
  isOwn(node) {
    return !this.setup.player || node.seat === this.setup.seat;
  }

  resign() {
    if (this.setup.player && !this.isOver()) this.end(1 - this.setup.seat, "resignation");
  }

  // Ends a game before the rules do.
  end(winner, by) {
    this.halt();
    this.stop("analyse");
    this.tree.current.ended = { by, returns: winner === 0 ? [1, -1] : [-1, 1] };
    this.view.draw();
    this.keep();
  }

  async swap() {
    if (!this.setup.player || this.isOver()) return;
    this.halt();
    this.setup.seat = 1 - this.setup.seat;
    this.changed();
    await this.reply();
  }

  remove() {
    const { current } = this.tree;
    if (!current.parent) return;
    this.tree.current = this.tree.remove(current);
    this.view.drawMoves();
    this.go(this.tree.current);
  }

  // Takes moves of an expected line onto the board.
  async take(line, names) {
    if (line.length === 1) {
      await this.moved({ action: line[0], name: names[0] });
      return;
    }
    await this.addLine([...this.tree.current.moves, ...line]);
    await this.go(this.tree.current);
  }

  // Returns the game up to a node as a record.
  record(end) {
    const { player, seat } = this.setup;
    const players = [PERSON, PERSON];
    if (player) players[1 - seat] = player;
    return { game: this.game, moves: end.moves, players: this.players || players, returns: resultOf(end), ended_by: end.ended?.by || null, result: end.said || null };
  }

  // Returns the game with all that was tried: a record of its main line, and the rest.
  recordOfTree() {
    return { ...this.record(this.tree.main.at(-1)), variations: this.tree.asides };
  }

  // Adds a finished game to the opponent's run, once.
  async keep() {
    const run = this.setup.keeping;
    const { current } = this.tree;
    if (!run || current.kept || this.players) return;
    current.kept = "being kept";
    const answer = await this.asking("keep", ({ signal }) => ask("keep", { run, ...this.record(current) }, { signal }));
    current.kept = answer ? `kept in ${answer.file}` : "";
    this.view.tell();
  }

  // Thinking.

  asked(player) {
    return { game: this.game, player, moves: this.tree.current.moves, simulations: this.setup.simulations };
  }

  analyseSoon() {
    const node = this.tree.current;
    if (!this.view.analysisBox.checked || this.isOver()) return;
    setTimeout(() => {
      const isThinking = this.awaited && this.isOpponents(); // its own search is shown then
      if (this.tree.current === node && !isThinking && !this.page.signal.aborted) this.analyse();
    }, PAUSE);
  }

  async analyse() {
    const node = this.tree.current;
    const player = this.setup.analysing;
    if (!player || !this.isSettled() || this.isOver() || this.knownOf(node)) return;
    const args = { ...this.asked(player), plies: PLIES };
    const onPart = (part) => this.learn(node, player, part, true);
    const answer = await this.asking("analyse", (options) => ask("analyse", args, { ...options, onPart }));
    if (answer) this.learn(node, player, answer);
    this.view.tell();
  }

  // Keeps an analysis with its position, and shows it.
  learn(node, player, analysis, isPart = false) {
    if (!analysis.candidates) return;
    node.analyses = node.analyses || new Map();
    node.analyses.set(analysisKey(player, isPart ? "part" : this.setup.simulations), analysis);
    if (this.tree.current === node && !this.view.previewed) this.view.drawAnalysis();
  }

  // What is known of a position by the player and simulations of now.
  knownOf(node) {
    return node.analyses?.get(analysisKey(this.setup.analysing, this.setup.simulations));
  }

  // What is shown of it: while a search deepens, what it has found so far.
  analysisOf(node) {
    return this.knownOf(node) || node.analyses?.get(analysisKey(this.setup.analysing, "part"));
  }

  // Whether the person wants to see what is thought of a position.
  isOpen(node) {
    return this.view.analysisBox.checked || node.hinted || !this.setup.player;
  }

  async hint() {
    if (this.isOver()) return;
    this.tree.current.hinted = true;
    await this.analyse();
    this.view.drawAnalysis();
  }

  // A choice was changed: of players, of search, of what is shown.
  changed() {
    this.stop("analyse");
    this.view.draw();
    this.remember();
    this.analyseSoon();
  }

  // Shows an expected line: its numbers on the board or, walked, the board at its end.
  async preview(line, walked) {
    this.stop("preview");
    if (!line) {
      this.view.unpreview();
      return;
    }
    const node = this.tree.current;
    const boards = await this.asking("preview", (options) => this.positions.along(node.moves, line, options));
    if (!boards || this.tree.current !== node) return;
    const steps = line.map((action, k) => ({ places: placesOf(boards[k], action), seat: boards[k].to_play, number: k + 1 }));
    this.view.preview(walked ? boards.at(-1) : this.position, steps, walked);
  }

  // Mistakes.

  findMistakes() {
    if (this.setup.unjudged) return;
    this.review.run(this.tree.line, this.asked(this.setup.analysing));
  }

  nextMistake(by) {
    const found = mistakesOf(this.tree.line).map((node) => node.ply);
    if (!found.length && !this.review.running && !this.review.done) {
      this.findMistakes();
      return;
    }
    const at = this.tree.current.ply;
    const onward = by > 0 ? found : found.slice().reverse();
    const next = onward.find((ply) => by * (ply - at) > 0) ?? onward[0]; // and round again
    if (next !== undefined) this.toPly(next);
  }

  // Keeps what one sees in the address.
  remember() {
    const { setup, tree, source } = this;
    this.page.keep({
      run: null, file: null, index: null, ...source,
      game: this.game, player: setup.player || NOBODY, analyst: setup.analysing,
      seat: setup.player ? setup.seat : null, simulations: setup.simulations,
      temperature: setup.player ? setup.temperature : null,
      moves: tree.line.at(-1).moves.join(), ply: tree.current.ply,
    });
  }

  // Puts a question, and ends the one of its kind before. Returns undefined if it was called off,
  // or failed, which is shown.
  asking(kind, question) {
    this.askers[kind] ||= new Asker(this.page, (note) => { this.note = note; this.view.tell(); });
    const answer = this.askers[kind].put(question);
    this.view.tell();
    return answer;
  }

  isRunning(kind) {
    return Boolean(this.askers[kind]?.asking);
  }

  stop(...kinds) {
    for (const kind of kinds) this.askers[kind]?.stop();
  }
}

// Returns the result of a game that ends at a node, null if it does not.
export function resultOf(node) {
  return node.ended?.returns || node.position?.returns || null;
}

function analysisKey(player, simulations) {
  return `${simulations} ${player}`;
}
