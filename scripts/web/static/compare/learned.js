// One position through all checkpoints of a run: how it learned.

import { ask } from "../lib/api.js";
import { Board, heatLegend } from "../board/board.js";
import { choice, clear, count, h, percent, signed } from "../lib/dom.js";
import { LineChart } from "../curves/linechart.js";
import { MoveLine, movesFrom, turnInWords } from "../board/moveline.js";
import { bestOf, viewHeat } from "./twoviews.js";

const LEARNED_LINES = 7; // moves whose curves are drawn
const OTHERS_TONE = 7; // tone
const LEARNED_KINDS = [["prior", "network's policy"], ["weight", "search's policy"]];

export class LearnedView {
  constructor(root, part) {
    Object.assign(this, { root, part, views: [], at: null, asking: null });
  }

  async begin() {
    const { known, kept, signal } = this.part;
    const runs = known.runs.filter((run) => run.game);
    if (!runs.length) return void clear(this.root, h("p", {}, "There is no run here."));
    const run = runs.find(({ name }) => name === kept.run) || runs.find(({ game }) => game === kept.game) || runs[0];
    Object.assign(this, { run: run.name, kind: LEARNED_KINDS.some(([key]) => key === kept.kind) ? kept.kind : "prior" });
    const moves = !kept.game || kept.game === run.game ? movesFrom(kept.moves) : [];
    this.simulations = h("input", { type: "number", min: 0, max: 100000, value: kept.simulations || "64",
      onchange: () => { this.part.keep({ simulations: this.simulations.value }); this.learn(); } });
    this.line = new MoveLine({ game: run.game, moves, signal, onError: this.part.fail,
      onchange: (position, line) => { this.part.keep({ moves: line.join() }); this.arrived(position); } });
    const box = h("div", { class: "medium" });
    this.board = new Board(box, { onMove: (move) => this.line.play(move), label: "Position" });
    this.turn = h("p", {});
    this.status = h("p", { class: "status-line", role: "status" });
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Checkpoint", oninput: () => this.to(Number(this.slider.value)) });
    this.now = h("p", { "aria-live": "polite" });
    this.value = new LineChart(h("div", {}), { label: "Value over training steps", onPick: (step) => this.pick(step) });
    this.policy = new LineChart(h("div", {}), { label: "Policy over training steps", onPick: (step) => this.pick(step), height: 230 });
    clear(this.root,
      h("section", { class: "card", "aria-label": "Position and run" },
        h("div", { class: "row" }, choice("Run", runs.map(({ name }) => name), run.name, (name) => this.part.open("learned", { run: name, game: run.game, moves: this.line.moves.join() })),
          h("label", { class: "field" }, h("span", {}, "Simulations"), this.simulations)),
        this.line.element, this.status),
      h("div", { class: "columns" },
        h("section", { class: "card", "aria-label": "Board" }, box, this.turn, this.slider, this.now, heatLegend("share")),
        h("section", { class: "card", "aria-label": "Curves" },
          h("h2", {}, "Value of the position"), h("p", { class: "quiet" }, "For the seat to play. A click on a curve shows that checkpoint on the board."), this.value.root,
          h("div", { class: "row" }, h("h2", {}, "Moves"), choice("Of each move", LEARNED_KINDS, this.kind, (kind) => { this.kind = kind; this.part.keep({ kind }); this.draw(); })),
          this.policy.root)));
    this.part.keep({ run: run.name, game: run.game });
    this.part.onKey("ArrowLeft", "an earlier checkpoint", () => this.to(this.at - 1));
    this.part.onKey("ArrowRight", "a later checkpoint", () => this.to(this.at + 1));
    await this.line.begin();
  }

  arrived(position) {
    this.turn.textContent = turnInWords(position);
    this.board.show(position);
    this.views = [];
    this.draw();
    this.learn();
  }

  async learn() {
    this.asking?.abort();
    if (this.line.position.over) return void clear(this.status);
    const asking = this.asking = new AbortController();
    this.part.signal.addEventListener("abort", () => asking.abort(), { once: true });
    this.views = [];
    this.at = null;
    this.searches = Number(this.simulations.value) > 0;
    this.status.textContent = "asked";
    try {
      const answer = await ask("through", { run: this.run, moves: this.line.moves, simulations: Number(this.simulations.value) }, { signal: asking.signal,
        onNote: (note) => { this.status.textContent = note; },
        onPart: ({ checkpoint }) => { this.views.push(checkpoint); this.draw(); } });
      const { missing, left_out: left } = answer;
      clear(this.status, `${count(this.views.length)} checkpoints.`,
        left > 0 && ` ${count(left)} between them are left out.`,
        missing.map(({ step, problem }) => h("span", { class: "warn" }, ` Step ${step} cannot be read: ${problem}.`)),
        this.views.length < 4 && " A run keeps few checkpoints unless it is told to: --checkpoint.keep-every.");
      if (this.at == null) this.to(this.views.length - 1);
    } catch (error) {
      if (asking.signal.aborted) return;
      clear(this.status);
      this.part.fail(error);
    }
  }

  draw() {
    const { views } = this;
    this.slider.max = Math.max(0, views.length - 1);
    const over = (of) => views.map((view) => [view.step, of(view)]);
    const alone = { name: "network alone", tone: 1, points: over(({ raw_value: value }) => value) };
    const searched = { name: "search", tone: 0, points: over(({ value }) => value) };
    this.value.draw({ x: "steps", low: -1, high: 1, levels: [{ y: 0, name: "" }],
      lines: !views.length ? [] : this.searches ? [searched, alone] : [alone] });
    const shares = views.map(({ candidates }) => new Map(candidates.map((one) => [one.action, one[this.kind] || 0])));
    const first = views[0]?.candidates || [];
    const most = ({ action }) => Math.max(...shares.map((by) => by.get(action) || 0));
    const shown = first.slice().sort((a, b) => most(b) - most(a)).slice(0, LEARNED_LINES);
    const lines = shown.map(({ action, name }, tone) => ({ name, tone, points: views.map(({ step }, k) => [step, shares[k].get(action)]) }));
    if (first.length > LEARNED_LINES) {
      const rest = (by) => 1 - shown.reduce((sum, { action }) => sum + (by.get(action) || 0), 0);
      lines.push({ name: `${first.length - LEARNED_LINES} others together`, tone: OTHERS_TONE, points: views.map(({ step }, k) => [step, Math.max(0, rest(shares[k]))]) });
    }
    this.policy.draw({ x: "steps", low: 0, high: 1, lines, format: (value) => percent(value, 0) });
    if (this.at != null) this.to(this.at);
  }

  pick(step) {
    this.to(this.views.findIndex((view) => view.step === step));
  }

  // Shows a checkpoint's view on the board.
  to(index) {
    const view = this.views[index];
    if (!view) return;
    this.at = index;
    this.slider.value = index;
    this.board.heat(viewHeat(view, this.kind));
    const best = view.candidates.find(({ action }) => action === bestOf(view));
    const alone = this.searches ? ` (network alone ${signed(view.raw_value)})` : "";
    clear(this.now, `Step ${count(view.step)}: plays ${best ? best.name : "any move: all are equal to it"}, value ${signed(view.value)}${alone}.`);
  }
}
