// What one sees of the screen to play and analyse.

import { Board, heatLegend } from "../board/board.js";
import { Candidates } from "./candidates.js";
import { clear, h, percent, signed } from "../lib/dom.js";
import { GameFiles } from "./gamefiles.js";
import { playerName } from "../lib/players.js";
import { PlaySetup } from "./playsetup.js";
import { MISTAKE_RULE, excuseText, excusedOf, lossOf, lossText, mistakesOf } from "./review.js";
import { seatNameOf, walkButtons, walkKeys } from "../board/positions.js";
import { ValueGraph, plural } from "./valuegraph.js";
import { VariationView } from "./variations.js";

const HEATS = [["off", "Off"], ["prior", "Prior"], ["visits", "Visits"], ["q", "Q"]];
const HINT = "Hidden while you play: ask for a hint, or tick the box above.";
const UNSEARCHED = "Not searched: tick “Analyse every position” above (a), or ask for a hint (h).";

export class PlayView {
  // play: the screen's state and what can be done to it.
  constructor(root, play, begun) {
    Object.assign(this, { root, play, previewed: false });
    const setup = h("div", {});
    const board = h("div", {});
    const graph = h("div", { class: "graph-box" });
    this.setup = new PlaySetup(setup, { ...begun, begun, signal: play.page.signal,
      onGame: () => play.newGame(),
      onPlayer: () => { this.analysisBox.checked = !this.setup.player; play.changed(); },
      onSeat: () => play.changed(),
      onSearch: () => play.changed(),
      onNew: () => { this.setup.details.open = false; play.newGame(); } });
    this.sides = h("div", { class: "sides" });
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.board = new Board(board, { onMove: (move) => play.moved(move), label: "Board" });
    this.graph = new ValueGraph(graph, { onGo: (ply) => play.toPly(ply) });
    this.here = h("div", {});
    this.value = h("div", { class: "value" });
    this.table = new Candidates(h("div", {}), {
      onPreview: (line, walked) => play.preview(line, walked), onPlay: (line, names) => play.take(line, names) });
    this.moves = new VariationView(h("div", {}), { onGo: (node) => play.go(node), about: aboutMove });
    this.mistakes = h("div", { class: "mistakes" });
    this.files = new GameFiles(h("div", {}), { page: play.page,
      onLoad: (record) => play.loadAndShow(record),
      game: () => play.game,
      record: (form) => form === "sgf" ? play.recordOfTree() : play.record(play.tree.line.at(-1)) });
    clear(root,
      h("h1", { class: "unseen" }, "Play and analyse"),
      setup,
      h("div", { class: "columns" },
        h("section", { class: "card board-card", "aria-label": "Board" },
          this.sides, board, this.status, this.gameButtons(), graph),
        h("div", {},
          h("section", { class: "card", "aria-label": "Analysis" }, this.analysisBar(), this.here, this.value, this.table.root),
          h("section", { class: "card", "aria-label": "Game" },
            h("h2", {}, "Game"), this.mistakes, this.moves.root,
            h("button", { type: "button", title: "Removes this move and all after it (Delete)", onclick: () => play.remove() }, "Remove from here")),
          h("section", { class: "card", "aria-label": "Files" }, h("h2", {}, "Files"), this.files.root))));
    bindPlayKeys(play, this);
  }

  gameButtons() {
    const { play } = this;
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    this.actions = {
      reply: button("Let it move", "The opponent moves here (g)", () => play.reply()),
      undo: button("Undo", "Takes back your last move (u)", () => play.undo()),
      hint: button("Hint", "What a search would play here (h)", () => play.hint()),
      resign: button("Resign", "Gives up this game", () => play.resign()),
      swap: button("Swap sides", "You take the other seat (s)", () => play.swap()),
    };
    this.fieldset = h("fieldset", {},
      walkButtons((ply) => play.toPly(ply), () => play.tree.current.ply, () => play.tree.line.length - 1),
      h("div", { class: "row actions" }, Object.values(this.actions)));
    return [this.fieldset, h("p", {}, button("New game", "From the opening position", () => play.newGame()))];
  }

  analysisBar() {
    this.analysisBox = h("input", { type: "checkbox", onchange: () => this.play.changed() });
    this.heatButtons = HEATS.map(([key, text]) =>
      h("button", { type: "button", "data-heat": key, onclick: () => this.setHeat(key) }, text));
    this.legend = h("span", {});
    return h("div", {},
      h("div", { class: "row analysis-bar" },
        h("h2", {}, "Analysis"),
        h("label", { title: "Searches each position that you come to (a)" }, this.analysisBox, " Analyse every position")),
      h("div", { class: "row heat-bar", role: "group", "aria-label": "Heat map on the board" },
        h("span", { class: "quiet" }, "On the board"), h("span", { class: "joined" }, this.heatButtons), this.legend));
  }

  // A game begins.
  began() {
    this.files.setGame(this.play.game);
    this.drawMoves();
  }

  drawMoves() {
    this.moves.draw(this.play.tree);
  }

  draw() {
    const { play } = this;
    const { actions } = this;
    this.previewed = false;
    this.board.show(play.position);
    this.fieldset.disabled = !play.position;
    if (!play.position) {
      for (const box of [this.sides, this.here, this.value, this.mistakes]) clear(box);
      this.table.draw(null);
      this.graph.root.hidden = true;
      this.tell();
      return;
    }
    this.setup.nameSeats(play.position);
    this.enable();
    this.drawSides();
    this.drawAnalysis();
    actions.hint.disabled = actions.resign.disabled = actions.swap.disabled = play.isOver();
    actions.resign.hidden = actions.swap.hidden = !this.setup.player;
    this.tell();
  }

  enable() {
    if (this.play.isOver() || this.play.awaited) this.board.disable();
    else this.board.enable();
  }

  drawSides() {
    const { play, setup } = this;
    const who = (seat) => {
      if (play.players) return this.isNamed(seat) ? play.players[seat] : "";
      if (!setup.player) return "";
      return seat === setup.seat ? "you" : playerName(setup.player);
    };
    const turn = play.isOver() ? null : play.position.to_play;
    clear(this.sides, [0, 1].map((seat) => {
      const dot = h("span", { class: "dot", "aria-hidden": "true" });
      dot.style.background = this.seatColour(seat);
      return h("span", { class: "side", "aria-current": seat === turn ? "true" : null },
        dot, h("strong", {}, this.seatName(seat)), who(seat) && h("span", { class: "who" }, who(seat)),
        seat === turn && h("span", { class: "turn" }, "to play"));
    }));
  }

  // Whether a record says more of a player than the colour.
  isNamed(seat) {
    return this.play.players[seat].toLowerCase() !== this.seatName(seat).toLowerCase();
  }

  drawAnalysis() {
    const { play } = this;
    const node = play.tree.current;
    if (!play.position) return;
    const analysis = play.isOpen(node) && !play.isOver() ? play.analysisOf(node) : null;
    const seat = play.position.to_play;
    this.drawValue(analysis, seat);
    this.table.draw(analysis, this.seatName(seat), analysis && this.isUnsearched(analysis) ? "network" : "best");
    this.drawHeat(analysis);
    this.drawMarks(node, analysis);
    this.drawGraph();
    this.drawMistakes();
  }

  // Whether it is a network's word, before or without a search.
  isUnsearched(analysis) {
    return this.setup.hasNetwork && analysis.simulations === 0;
  }

  drawValue(analysis, seat) {
    const { play } = this;
    if (!analysis) {
      const { current } = play.tree;
      const wanted = this.analysisBox.checked || current.hinted;
      const why = play.isOver() ? "The game is over." : this.setup.unjudged || (wanted ? "" : play.isOpen(current) ? UNSEARCHED : HINT);
      clear(this.value, why && h("p", { class: "quiet" }, why));
      return;
    }
    const { certain } = play.tree.current.review || {};
    if (analysis.value == null) {
      clear(this.value, h("p", { class: "quiet" }, `${playerName(this.setup.analysing)} does not say what it thinks.`));
      return;
    }
    const first = certain ?? (seat === 0 ? analysis.value : -analysis.value);
    const filled = h("span", { class: "filled" });
    const bar = h("div", { class: "value-bar", role: "img", "aria-label": `${this.seatName(0)} ${signed(first)}` }, filled);
    filled.style.width = `${50 * (first + 1)}%`;
    filled.style.background = this.seatColour(0);
    bar.style.background = this.seatColour(1);
    const unsearched = this.isUnsearched(analysis);
    const raw = analysis.raw_value == null || !this.setup.hasNetwork || unsearched ? "" : ` · network alone ${signed(analysis.raw_value)}`;
    const searched = analysis.simulations ?? this.setup.simulations;
    clear(this.value,
      h("p", {}, "Value for ", h("strong", {}, this.seatName(seat)), " (to play) ",
        h("strong", { class: "figure", title: "from −1, a sure loss, to +1, a sure win" }, signed(analysis.value)),
        h("span", { class: "quiet" }, ` · ${unsearched ? "network only" : `${searched} simulations`} by ${playerName(this.setup.analysing)}${raw}`)),
      analysis.wdl && h("p", { class: "quiet" }, ["win", "draw", "loss"].map((word, k) => `${word} ${percent(analysis.wdl[k], 0)}`).join(" ")),
      certain != null && h("p", { class: "exact" }, "Exact: ", h("strong", {}, this.certainText(certain)), " with perfect play."),
      bar);
  }

  drawHeat(analysis) {
    const { heat } = this.play;
    for (const button of this.heatButtons) button.setAttribute("aria-pressed", String(button.dataset.heat === heat));
    const kind = heat === "q" ? "value" : "share";
    clear(this.legend, heat !== "off" && analysis && heatLegend(kind));
    this.board.heat(analysis && heat !== "off" ? heatOf(analysis, heat) : null, kind);
  }

  drawMarks(node, analysis) {
    const { review } = node;
    const marks = [];
    clear(this.here, review?.mistake && h("p", { class: "mistake-here" },
      h("strong", {}, review.mistake === "blunder" ? "Blunder: " : "Mistake: "),
      `${this.seatName(review.to_play)} played ${review.played_name} here, which ${lossText(review)}`,
      review.best_name && `; better is ${review.best_name}`),
    review?.excused && h("p", { class: "excused-here quiet" },
      `No mistake: ${review.played_name} was played here; ${excuseText(review)}`,
      review.best_name && `. It would play ${review.best_name}`));
    if (review?.mistake) marks.push({ action: review.best, kind: "best" }, { action: review.played, kind: "played" });
    else if (node.hinted && analysis && !(this.isUnsearched(analysis) && this.setup.simulations)) marks.push({ action: analysis.best, kind: "hint" });
    this.board.marks(marks.length ? marks : null);
  }

  drawGraph() {
    const { line, current } = this.play.tree;
    const points = line.map((node) => this.pointOf(node)).filter(Boolean);
    const mistakes = [...excusedOf(line), ...mistakesOf(line)].map(({ ply, review }) =>
      ({ ply, value: review.certain ?? review.value, excused: review.excused }));
    this.graph.root.hidden = !points.length;
    this.graph.draw({ points, plies: line.length - 1, ply: current.ply, mistakes,
      sides: [`${this.seatName(0)} wins`, `${this.seatName(1)} wins`] });
  }

  // What is known of the value of a position, for seat 0.
  pointOf(node) {
    const { play } = this;
    const { ply, position, review } = node;
    const point = (value, how, exact = false) =>
      ({ ply, value, exact, text: `after ${plural(ply)}: value for ${this.seatName(0)} ${signed(value)}, ${how}` });
    if (position?.over) return point(position.returns[0], "the result");
    if (review?.visits === 0 && review.best === null) return point(review.value, "the result");
    if (review?.certain != null) {
      const excuse = review.excused ? ` After it ${excuseText(review)}` : "";
      return point(review.certain, `exact: ${this.certainText(review.certain)}; the search said ${signed(review.value)}.${excuse}`, true);
    }
    if (review?.value != null) return point(review.value, `${review.visits} visits`);
    const analysis = position && play.isOpen(node) ? play.analysisOf(node) : null;
    if (analysis?.value == null) return null;
    const visits = analysis.candidates.reduce((sum, one) => sum + one.visits, 0);
    return point(position.to_play === 0 ? analysis.value : -analysis.value, `${visits} visits`);
  }

  // What perfect play makes of a position, of its value for seat 0.
  certainText(value) {
    return value ? `${this.seatName(value > 0 ? 0 : 1)} wins` : "a draw";
  }

  setHeat(key) {
    const { play } = this;
    play.heat = key;
    if (key !== "off" && !play.isOpen(play.tree.current)) play.hint();
    this.drawAnalysis();
  }

  nextHeat() {
    const keys = HEATS.map(([key]) => key);
    this.setHeat(keys[(keys.indexOf(this.play.heat) + 1) % keys.length]);
  }

  preview(position, steps, walked) {
    this.previewed = true;
    this.board.show(position);
    this.board.disable();
    this.board.line(steps);
    if (!walked) this.enable();
  }

  unpreview() {
    if (!this.previewed) return;
    this.previewed = false;
    this.draw();
  }

  // A part of the review has come, or it has ended.
  reviewed() {
    this.drawMoves();
    if (!this.previewed) this.drawAnalysis();
  }

  drawMistakes() {
    const { play } = this;
    const { review } = play;
    const { line } = play.tree;
    const found = mistakesOf(line);
    const excused = excusedOf(line);
    if (line.length === 1) {
      clear(this.mistakes);
      return;
    }
    const worst = found.slice().sort((a, b) => lossOf(b.review) - lossOf(a.review));
    const button = (text, title, action, attributes) => h("button", { type: "button", title, onclick: action, ...attributes }, text);
    clear(this.mistakes,
      h("div", { class: "row" },
        review.running
          ? button("Stop", "Stops the search of the game", () => review.stop())
          : button("Find the mistakes", "Searches every position of this game and compares it with the move made", () => play.findMistakes(), { class: "primary", disabled: Boolean(this.setup.unjudged) }),
        button("Next ▶", "Next mistake (n)", () => play.nextMistake(1), { disabled: !found.length })),
      h("p", { class: "quiet small" }, MISTAKE_RULE),
      review.running && h("p", { class: "quiet", role: "status" }, review.note || `searching: ${review.done} of ${line.length} positions`),
      found.length > 0 && h("ol", { class: "mistake-list", "aria-label": "Mistakes, the worst first" },
        worst.map((node) => this.mistakeItem(node, line[node.ply + 1]))),
      !found.length && !review.running && review.done > 0 && h("p", { class: "good" }, `No mistakes found${this.setup.isBlind ? " by a search without a network, which misses many" : ""}.`),
      excused.length > 0 && h("p", { class: "quiet small" }, "Not mistakes, though the search sees a loss: the exact result was kept."),
      excused.length > 0 && h("ol", { class: "mistake-list excused", "aria-label": "Excused moves, in the order of play" },
        excused.map((node) => this.mistakeItem(node, line[node.ply + 1]))));
  }

  mistakeItem(node, played) {
    const { play } = this;
    const { review } = node;
    const named = play.players && this.isNamed(played.seat) && play.players[played.seat];
    const who = named || (this.setup.player ? (this.play.isOwn(played) ? "you" : playerName(this.setup.player)) : "");
    return h("li", { "aria-current": node === play.tree.current ? "true" : null },
      h("button", { type: "button", class: "link", onclick: () => play.go(node) },
        `Move ${played.ply}: ${this.seatName(played.seat)}${who && ` (${who})`} played ${played.name}`),
      review.mistake && review.best_name && `, better ${review.best_name}`,
      h("span", { class: "quiet" }, ` · ${review.mistake ? `${review.mistake}: ${lossText(review)}` : excuseText(review)}`));
  }

  seatName(seat) {
    return seatNameOf(this.play.position, seat);
  }

  seatColour(seat) {
    return this.play.position?.seats?.[seat]?.fill || `var(--seat${seat})`;
  }

  // Says whose turn it is, what is under way, how the game ended.
  tell() {
    const { play } = this;
    if (this.actions) this.actions.reply.hidden = !play.isOpponents() || play.awaited;
    this.root.setAttribute("aria-busy", String(Boolean(play.awaited || ["position", "names", "analyse"].some((kind) => play.isRunning(kind)))));
    clear(this.status, this.sentence());
  }

  sentence() {
    const { play, setup } = this;
    const { current } = play.tree;
    const note = play.note && `: ${play.note}`;
    if (play.failed && !play.position) return "There is no board to show: see the error above.";
    if (!play.position || play.isRunning("names")) return `Loading${note || " …"}`;
    const returns = current.ended?.returns || (play.isSettled() && play.position.returns);
    if (returns) return this.result(returns, current);
    if (current.said) return `The file says ${current.said}: no result.`;
    if (play.awaited) return `${playerName(setup.player)} is thinking${note || " …"}`;
    if (play.isRunning("analyse")) return `Searching${note || " …"}`;
    if (note) return `Working${note}`;
    const turn = this.seatName(play.position.to_play);
    if (!setup.player) return `${turn} to play.`;
    if (play.isOpponents()) return `${turn} (${playerName(setup.player)}) to play.`;
    return `${this.passed(current)}Your move${current.seat === play.position.to_play ? " again" : ""}: you are ${turn}.`;
  }

  // Says the opponent's move where no mark on the board does, as of a pass.
  passed({ parent, action, name, seat }) {
    const move = parent?.position?.moves.find((one) => one.action === action);
    return move && !move.spots.length && seat !== this.setup.seat ? `${this.seatName(seat)} played ${name}. ` : "";
  }

  result([first, second], { ended, kept, said }) {
    const { play, setup } = this;
    if (said) return `The file says ${said}: ${first === second ? "a draw" : `${this.seatName(first > second ? 0 : 1)} wins`}.`;
    const winner = first > second ? 0 : 1;
    const who = setup.player && !play.players ? `, ${winner === setup.seat ? "you" : playerName(setup.player)},` : "";
    const how = ended ? ` by ${ended.by}` : "";
    return `${first === second ? "A draw" : `${this.seatName(winner)}${who} wins`}${how}.${kept ? ` The game is ${kept}.` : ""}`;
  }
}

// Returns the entries of a heat map; what is next to nothing stays away.
function heatOf({ candidates, best }, heat) {
  const visits = candidates.map((one) => one.visits);
  const [sum, most] = [visits.reduce((a, b) => a + b, 0) || 1, Math.max(1, ...visits)];
  const { entry, has } = {
    prior: {
      has: ({ prior }) => prior >= 0.002,
      entry: ({ prior }) => ({ value: prior, weight: 0.2 + 2 * prior, text: prior >= 0.005 ? String(Math.round(100 * prior)) : "" }),
    },
    visits: {
      has: (one) => one.visits > 0,
      entry: (one) => ({ value: one.visits / sum, weight: 0.2 + one.visits / most, text: String(one.visits) }),
    },
    q: {
      has: (one) => one.q != null,
      entry: (one) => ({ value: one.q, weight: Math.sqrt(one.visits / most), text: signed(one.q).replace("0.", ".") }),
    },
  }[heat];
  return candidates.filter(has).map((one) => ({ action: one.action, best: one.action === best, ...entry(one) }));
}

// What the list of moves says of a move.
function aboutMove(node) {
  const { review } = node.parent;
  if (review?.played !== node.action) return {};
  if (review.excused) return { classes: "excused-move", title: `no mistake: ${excuseText(review)}` };
  if (!review.mistake) return {};
  return { classes: "mistake-move", title: `${review.mistake}: ${lossText(review)}${review.best_name ? `; better ${review.best_name}` : ""}` };
}

function bindPlayKeys(play, view) {
  const { onKey } = play.page;
  onKey("ArrowUp", "the variation before this one", () => play.aside(-1));
  onKey("ArrowDown", "the next variation", () => play.aside(1));
  walkKeys(play.page, (ply) => play.toPly(ply), () => play.tree.current.ply, () => play.tree.line.length - 1);
  onKey("n", "next mistake; searches the game first", () => play.nextMistake(1));
  onKey("Shift+N", "previous mistake", () => play.nextMistake(-1));
  onKey("h", "hint: what a search would play", () => play.hint());
  onKey("u", "undo: take back your last move", () => play.undo());
  onKey("g", "go: let the opponent move", () => play.reply());
  onKey("s", "swap sides", () => play.swap());
  onKey("a", "analysis of every position, on or off", () => view.analysisBox.click());
  onKey("m", "heat map: prior, visits, Q, off", () => view.nextHeat());
  onKey("b", "to the board: Tab moves, Enter plays, Escape leaves", () => view.board.focus());
  onKey("Delete", "remove this move and all after it", () => play.remove());
}
