// An annotation session on screen: the position to decide, the analysis of A, and ways to decide.

import { Board, heatLegend } from "../board/board.js";
import { Candidates } from "../play/candidates.js";
import { clear, h, percent, signed, table } from "../lib/dom.js";

const MODES = [
  ["decide", "Decide", "Click the move that should be played: it is stored, and the next position follows. You can undo it."],
  ["weigh", "Weights", "Click each move that you would play, and give it a weight."],
  ["look", "Look ahead", "Clicks play a line, and A searches the position at its end."],
];
const FULL = 100; // percent

export class DeskView {
  // desk: the session's state, and what can be done to it.
  constructor(root, desk) {
    Object.assign(this, { root, desk, mode: "decide", line: [], weights: new Map(), looked: [] });
    const board = h("div", {});
    this.board = new Board(board, { label: "Position to decide", onMove: (move) => this.clicked(move) });
    this.head = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.said = h("p", { class: "row desk-said", role: "status" });
    this.about = h("p", { class: "quiet small" });
    this.lineText = h("p", { class: "desk-line" });
    this.legend = h("p", {});
    this.modes = MODES.map(([key, text, title]) =>
      h("button", { type: "button", title, "data-mode": key, onclick: () => this.setMode(key) }, text));
    this.value = h("input", { type: "number", min: -1, max: 1, step: 0.05, "aria-label": "Value of the position" });
    this.forMode = h("div", {});
    this.opinion = h("p", {});
    this.table = new Candidates(h("div", {}), { onPreview: () => {}, onPlay: ([action], [name]) => this.clicked({ action, name }) });
    this.lookedAt = h("div", {});
    this.session = h("div", {});
    const button = (text, title, action) => h("button", { type: "button", title, onclick: action }, text);
    this.buttons = [
      button("Skip", "Leaves this position undecided (s)", () => this.done("skip")),
      button("Undo", "Takes your last decision or skip back (u)", () => this.done("undo")),
      button("End", "Ends the session: everything is on disk", () => desk.end()),
    ];
    this.shown = h("input", { type: "checkbox", checked: desk.candidates, onchange: () => this.toggle() });
    clear(root,
      h("p", { class: "quiet small" }, "You decide. A, the run's network with its search, assists you."),
      h("div", { class: "columns desk" },
        h("section", { class: "card", "aria-label": "Position" },
          this.head, this.said,
          h("div", { class: "row desk-modes", role: "group", "aria-label": "What a click does" },
            h("span", { class: "quiet" }, "Clicks"), h("span", { class: "joined" }, this.modes)),
          this.about, board, this.legend, this.lineText, this.forMode,
          h("div", { class: "row" }, this.buttons)),
        h("div", {},
          h("section", { class: "card", "aria-label": "A's opinion" },
            h("div", { class: "row analysis-bar" }, h("h2", {}, "A's opinion"),
              h("label", { title: "A decision says whether you had seen it (c)" }, this.shown, " show it")),
            this.opinion, this.table.root),
          h("section", { class: "card", "aria-label": "Lines looked at" }, h("h2", {}, "Lines looked at"), this.lookedAt),
          h("section", { class: "card", "aria-label": "Session" }, h("h2", {}, "Session"), this.session))));
    this.bindKeys();
  }

  bindKeys() {
    const { onKey } = this.desk.page;
    onKey("d", "a click decides", () => this.setMode("decide"));
    onKey("w", "a click weighs", () => this.setMode("weigh"));
    onKey("l", "clicks look ahead", () => this.setMode("look"));
    onKey("b", "a move back in a line", () => this.stepBack());
    onKey("g", "let A search the line, or decide with the weights", () => this.go());
    onKey("s", "skip this position", () => this.done("skip"));
    onKey("u", "undo", () => this.done("undo"));
    onKey("c", "show or hide A's opinion", () => this.shown.click());
  }

  // Shows a session; `position` is null where none is left to decide.
  draw(view, position) {
    const isAnother = this.view?.dealt !== view.dealt;
    Object.assign(this, { view, position });
    if (isAnother) {
      Object.assign(this, { line: [], weights: new Map(), looked: [] });
      this.value.value = "";
    }
    const { left } = view.summary;
    this.head.textContent = position
      ? `Position ${view.dealt + 1}: ${after(view.moves.length)}, ${this.side(position.to_play)} to play. ${left - 1} more.`
      : "No position is left to decide.";
    if (!this.line.length) this.showBoard(position);
    this.drawMode();
    this.drawOpinion();
    this.drawLooked();
    this.drawSession();
  }

  side(seat) {
    return this.position?.seats?.[seat]?.name || `seat ${seat}`;
  }

  showBoard(position) {
    this.onBoard = position;
    this.board.show(position);
    this.drawHeat();
    this.enable();
  }

  enable() {
    if (this.onBoard && !this.onBoard.over && !this.isWorking) this.board.enable();
    else this.board.disable();
  }

  working(isWorking) {
    this.isWorking = isWorking;
    this.enable();
    this.board.root.setAttribute("aria-busy", String(isWorking));
    for (const button of this.root.querySelectorAll("button")) {
      if (!this.board.root.contains(button)) button.disabled = isWorking;
    }
    if (!isWorking) this.limit();
  }

  // Disables what makes no sense now.
  limit() {
    const [skip, undo] = this.buttons;
    skip.disabled = !this.position;
    undo.disabled = !this.view.dealt;
  }

  setMode(mode) {
    this.mode = mode;
    this.forget();
    this.drawMode();
  }

  // Leaves a line: back to the position in hand.
  forget() {
    this.line = [];
    if (this.onBoard !== this.position) this.showBoard(this.position);
  }

  drawMode() {
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    this.about.textContent = MODES.find(([key]) => key === this.mode)[2];
    const names = this.line.map(({ name }) => name).join(" ");
    this.lineText.textContent = this.mode === "look" ? (names ? `Line: ${names}` : "Line: play some moves") : "";
    const parts = { decide: () => [this.valueField()], weigh: () => this.weighing(), look: () => [this.looking()] };
    clear(this.forMode, this.position ? parts[this.mode]() : []);
  }

  valueField() {
    return h("label", { class: "field" },
      h("span", {}, `Value for ${this.side(this.position.to_play)}, −1 to 1; empty: the value of A's search`), this.value);
  }

  weighing() {
    const rows = [...this.weights].map(([action, { name, weight }]) => {
      const set = (event) => this.weights.set(action, { name, weight: Number(event.target.value) });
      const drop = () => {
        this.weights.delete(action);
        this.drawMode();
      };
      return h("tr", {}, h("th", { scope: "row" }, name),
        h("td", {}, h("input", { type: "number", min: 0, step: "any", value: weight, "aria-label": `Weight of ${name}`, oninput: set })),
        h("td", {}, h("button", { type: "button", onclick: drop }, "Remove")));
    });
    return [
      rows.length > 0 && h("table", { class: "weights" }, h("tbody", {}, rows)),
      h("div", { class: "row" }, this.valueField(),
        h("button", { type: "button", class: "primary", disabled: !rows.length, title: "(g)", onclick: () => this.go() }, "Decide with these weights")),
    ];
  }

  looking() {
    return h("div", { class: "row" },
      h("button", { type: "button", disabled: !this.line.length, title: "(b)", onclick: () => this.stepBack() }, "Back"),
      h("button", { type: "button", class: "primary", disabled: !this.line.length, title: "(g)", onclick: () => this.go() }, "Let A search it"));
  }

  async clicked(move) {
    if (this.isWorking) return;
    if (this.mode === "decide") return this.done("decide", { play: move.action, ...this.ownValue() });
    if (this.mode === "weigh") {
      if (!this.weights.has(move.action)) this.weights.set(move.action, { name: move.name, weight: 1 });
      this.drawMode();
      return this.showBoard(this.position);
    }
    return this.follow([...this.line, { action: move.action, name: move.name }]);
  }

  // Stands at the end of a line on the board.
  async follow(line) {
    this.line = line;
    this.board.disable();
    const { moves } = this.view;
    const there = await this.desk.trying(() => this.desk.positions.at([...moves, ...line.map(({ action }) => action)]));
    if (there && this.line === line) this.showBoard(there);
    this.drawMode();
  }

  stepBack() {
    if (this.line.length && !this.isWorking) this.follow(this.line.slice(0, -1));
  }

  // Does what the mode is for with what has been clicked.
  async go() {
    if (this.mode === "weigh" && this.weights.size) return this.done("decide", { weights: this.shares(), ...this.ownValue() });
    if (this.mode !== "look" || !this.line.length) return;
    const line = this.line.map(({ action }) => action);
    const { dealt } = this.view;
    const answer = await this.desk.ask("look", { lines: [line] });
    if (!answer?.lines || this.view.dealt !== dealt) return;
    this.looked.push(...answer.lines);
    this.forget();
    this.drawMode();
    this.drawLooked();
  }

  // The weights as shares, which sum to 1.
  shares() {
    const rows = [...this.weights].filter(([, { weight }]) => weight > 0);
    const total = rows.reduce((sum, [, { weight }]) => sum + weight, 0);
    return Object.fromEntries(rows.map(([action, { weight }]) => [action, weight / total]));
  }

  ownValue() {
    return this.value.value === "" ? {} : { value: Number(this.value.value) };
  }

  async done(what, args = {}) {
    if (this.isWorking || (what !== "undo" && !this.position)) return;
    this.forget();
    this.say(null);
    const told = this.inWords(what, args);
    const answer = await this.desk.ask(what, args);
    if (answer) this.say(told, what !== "undo");
  }

  inWords(what, { play, weights }) {
    if (what !== "decide") return what === "skip" ? "Skipped." : "Taken back.";
    const named = (action) => this.position.moves.find((move) => move.action === Number(action))?.name ?? `action ${action}`;
    return `Decided ${weights ? Object.keys(weights).map(named).join(", ") : named(play)}.`;
  }

  // Shows what was done, with a way back beside it.
  say(text, canUndo = false) {
    clear(this.said, text && h("strong", {}, text),
      canUndo && h("button", { type: "button", title: "(u)", onclick: () => this.done("undo") }, "Undo"));
  }

  toggle() {
    this.desk.candidates = this.shown.checked;
    if (this.shown.checked && !this.view.candidates) this.desk.ask("state");
    this.drawOpinion();
  }

  // What A thinks, if the person wants to see it.
  known() {
    return this.desk.candidates ? this.view?.candidates : null;
  }

  drawHeat() {
    const known = this.onBoard && this.onBoard === this.position && this.known();
    const rows = known ? known.candidates.filter(({ weight }) => weight >= 0.005) : [];
    this.board.heat(known ? rows.map(({ action, weight }) => ({
      action, value: weight, text: String(Math.round(FULL * weight)), best: action === known.best })) : null);
    clear(this.legend, known && heatLegend("share"), known && h("span", { class: "quiet small" }, " of what A's search would do"));
  }

  drawOpinion() {
    const known = this.known();
    this.drawHeat();
    this.table.draw(known, known && this.side(this.position.to_play));
    clear(this.opinion, known
      ? [`Value for ${this.side(this.position.to_play)}: `, h("strong", { class: "figure" }, signed(known.value)),
        h("span", { class: "quiet" }, ` after search, ${signed(known.raw_value)} by the network alone`)]
      : h("span", { class: "quiet" }, this.desk.candidates ? (this.position ? "searching" : "") : "Hidden: you decide without it."));
  }

  drawLooked() {
    clear(this.lookedAt, this.looked.length
      ? table(["Line", `Value for ${this.side(this.position.to_play)}`, "A expects next"], this.looked.map(({ names, value, over, expects_names: next }) =>
        [names.join(" "), signed(value), over ? "the game is over" : next.join(" ")]))
      : h("p", { class: "quiet small" }, "None yet. Choose “Look ahead”, play some moves, and let A search there."));
  }

  drawSession() {
    const { view } = this;
    const { decided, skipped, left, agrees, regret } = view.summary;
    const figure = (text, value) => h("li", {}, `${text} `, h("strong", {}, value));
    clear(this.session,
      h("ul", { class: "desk-tally" },
        figure("decided", String(decided)), figure("skipped", String(skipped)), figure("left", String(left)),
        agrees != null && figure("agree with A", percent(agrees, 0)),
        regret != null && figure("mean loss of value by A's search", regret.toFixed(3))),
      h("ol", { class: "desk-log" }, view.log.map((text) => h("li", {}, text))),
      view.notes.map((text) => h("p", { class: "warn small" }, text)),
      h("p", { class: "quiet small" }, `by ${view.by}, with ${view.player} and ${view.simulations} simulations; in ${view.file}`));
    const log = this.session.querySelector(".desk-log");
    log.scrollTop = log.scrollHeight;
  }
}

function after(count) {
  return count === 0 ? "the opening" : `after ${count} ${count === 1 ? "move" : "moves"}`;
}
