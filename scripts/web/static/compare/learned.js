// One position through all checkpoints of a run: how it learned.

import { Asker, ask } from "../lib/api.js";
import { Board, heatLegend } from "../board/board.js";
import { choice, clear, count, field, h, percent, signed } from "../lib/dom.js";
import { Plot } from "../curves/chart.js";
import { MoveLine, movesFrom, turnInWords } from "../board/moveline.js";
import { bestOf, viewHeat } from "./twoviews.js";

const MOST_LINES = 6; // moves whose curves are drawn
const KINDS = [["prior", "network's policy"], ["weight", "search's policy"]];

export class LearnedView {
  constructor(root, part) {
    Object.assign(this, { root, part, views: [], at: null, kind: "prior" });
  }

  async begin() {
    const { known, kept, signal } = this.part;
    const runs = known.runs.filter((run) => run.game);
    if (!runs.length) return void clear(this.root, h("p", {}, "There is no run here."));
    const run = runs.find(({ name }) => name === kept.run) || runs.find(({ game }) => game === kept.game) || runs[0];
    this.run = run.name;
    const simulations = field("Simulations", { type: "number", min: 0, max: 100000, value: kept.simulations || "64",
      onchange: () => { this.part.keep({ simulations: this.simulations.value }); this.learn(); } });
    this.simulations = simulations.lastChild;
    this.line = new MoveLine({ game: run.game, moves: !kept.game || kept.game === run.game ? movesFrom(kept.moves) : [], signal, onError: this.part.fail,
      onchange: (position, line) => { this.part.keep({ moves: line.join() }); this.arrived(position); } });
    const box = h("div", { class: "medium" });
    this.board = new Board(box, { onMove: (move) => this.line.play(move), label: "Position" });
    this.turn = h("p", {});
    this.status = h("p", { class: "status-line", role: "status" });
    this.asker = new Asker(this.part, (note) => { this.status.textContent = note; });
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Checkpoint", oninput: () => this.to(Number(this.slider.value)) });
    this.now = h("p", { "aria-live": "polite" });
    const onPick = (step) => this.to(this.views.findIndex((view) => view.step === step));
    [this.value, this.policy] = [0, 1].map(() => new Plot(h("div", {}), { onPick }));
    clear(this.root,
      h("section", { class: "card", "aria-label": "Position and run" },
        h("div", { class: "row" }, simulations,
          choice("Run", runs.map(({ name }) => name), run.name, (name) => this.part.open("learned", { run: name, game: run.game, moves: this.line.moves.join() }))),
        this.line.element, this.status),
      h("div", { class: "columns" },
        h("section", { class: "card", "aria-label": "Board" }, box, this.turn, this.slider, this.now, heatLegend("share")),
        h("section", { class: "card", "aria-label": "Curves" },
          h("p", { class: "quiet" }, "A click on a curve shows that checkpoint on the board."), this.value.root,
          choice("Of each move", KINDS, this.kind, (kind) => { this.kind = kind; this.draw(); }), this.policy.root)));
    this.part.keep({ run: run.name, game: run.game });
    this.part.onKey("ArrowLeft", "an earlier checkpoint", () => this.to(this.at - 1));
    this.part.onKey("ArrowRight", "a later checkpoint", () => this.to(this.at + 1));
    await this.line.begin();
  }

  arrived(position) {
    this.turn.textContent = turnInWords(position);
    this.board.show(position);
    this.learn();
  }

  async learn() {
    Object.assign(this, { views: [], at: null });
    const { run, line: { position, moves } } = this;
    if (position.over) return this.asker.stop();
    const args = { run, moves, simulations: Number(this.simulations.value) };
    const onPart = ({ checkpoint }) => { this.views.push(checkpoint); this.draw(); };
    const answer = await this.asker.put((options) => ask("through", args, { ...options, onPart }));
    if (!answer) return undefined;
    clear(this.status, `${count(this.views.length)} checkpoints.`,
      answer.left_out > 0 && ` ${count(answer.left_out)} between them are left out.`,
      answer.missing.map(({ step, problem }) => h("span", { class: "warn" }, ` Step ${step} cannot be read: ${problem}.`)),
      this.views.length < 4 && " To keep more checkpoints of a run, train with --checkpoint.keep-every.");
    return this.at == null && this.to(this.views.length - 1);
  }

  draw() {
    const { views, kind } = this;
    if (!views.length) return;
    this.slider.max = views.length - 1;
    const x = views.map(({ step }) => step);
    this.value.draw({ title: "Value of the position, for the seat to play", across: "training steps", range: [-1, 1], entries: [
      { label: "network alone", x, y: views.map(({ raw_value: value }) => value) }, { label: "search", x, y: views.map(({ value }) => value) }] });
    const shares = views.map(({ candidates }) => new Map(candidates.map((one) => [one.action, one[kind] || 0])));
    const most = ({ action }) => Math.max(...shares.map((by) => by.get(action)));
    const shown = views[0].candidates.slice().sort((a, b) => most(b) - most(a)).slice(0, MOST_LINES);
    this.policy.draw({ title: "Moves that it thinks of most", across: "training steps", range: [0, 1], percent: true,
      entries: shown.map(({ action, name }) => ({ label: name, x, y: shares.map((by) => by.get(action)) })) });
    if (this.at != null) this.to(this.at);
  }

  // Shows a checkpoint's view on the board.
  to(index) {
    const view = this.views[index];
    if (!view) return;
    this.at = index;
    this.slider.value = index;
    this.board.heat(viewHeat(view, this.kind));
    const best = view.candidates.find(({ action }) => action === bestOf(view));
    clear(this.now, `Step ${count(view.step)}: plays ${best ? best.name : "any move: all are equal to it"}, value ${signed(view.value)} (network alone ${signed(view.raw_value)}).`);
  }
}
