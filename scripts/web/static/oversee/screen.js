// Annotation: a person decides positions for a run to learn from.

import { Asker, ask, askInPassing, checkpointsOf, get } from "../lib/api.js";
import { clear, field, h } from "../lib/dom.js";
import { DeskView } from "./deskview.js";
import { Positions } from "../board/positions.js";

const SOURCES = [["queries", "its own games, where search changes the policy most"], ["play", "one game, from the opening on"]];
const MOST_SEED = 2 ** 32 - 1;

export async function show(root, params, page) {
  const { runs } = await get("runs", {}, page.signal);
  root.append(h("h1", {}, "Oversee"));
  if (!runs.length) {
    root.append(h("p", {}, "There is no run here yet: train one first."));
    return;
  }
  const content = h("div", {});
  root.append(content);
  new Overseeing(content, page, runs, params).offer();
}

class Overseeing {
  constructor(root, page, runs, params) {
    Object.assign(this, { root, page, runs, params });
    this.candidates = true;
    page.signal.addEventListener("abort", () => this.leave());
    window.addEventListener("pagehide", () => this.leave(), { signal: page.signal });
  }

  // Offers to begin, with what to say before: how the last session ended.
  offer(said = []) {
    this.session = null;
    const { params, runs } = this;
    const run = h("select", { "aria-label": "Run", onchange: () => this.fillSteps() },
      runs.map(({ name }) => h("option", { value: name, selected: name === params.run }, name)));
    const step = h("select", { "aria-label": "Step of training" });
    const source = h("select", { "aria-label": "Positions from" },
      SOURCES.map(([key, text]) => h("option", { value: key, selected: key === params.source }, text)));
    const labelled = (text, element) => h("label", { class: "field" }, h("span", {}, text), element);
    const number = (text, value, max, min = 1) => field(text, { type: "number", min, max, value });
    const count = number("At most positions", params.count || 20, 1000);
    const simulations = number("Simulations", params.simulations || 128, 100000);
    const seed = number("Seed", params.seed || 0, MOST_SEED, 0);
    seed.title = "Another seed picks other positions";
    const by = field("Who decides", { value: params.by || "", maxlength: 80, placeholder: "your user name", size: 14 });
    this.fields = { run, step, source, count: input(count), simulations: input(simulations), seed: input(seed), by: input(by) };
    this.start = h("button", { class: "primary" }, "Begin");
    this.note = h("p", { class: "quiet", role: "status", "aria-live": "polite" });
    const begin = (event) => {
      event.preventDefault();
      this.begin();
    };
    clear(this.root,
      said.length > 0 && h("section", { class: "card", role: "status", "aria-label": "The last session" }, said.map((text) => h("p", {}, text))),
      h("section", { class: "card", "aria-label": "A session" },
        h("p", {}, "You decide positions, and training learns from your decisions. A, the run's network with its search, assists you: it can search any line of play that you try. ",
          "Each decision is saved at once. During a session nobody else can decide for the run; a session of another page ends when you begin."),
        h("form", { onsubmit: begin },
          h("div", { class: "row" }, labelled("Run", run), labelled("Step", step), labelled("Positions from", source)),
          h("div", { class: "row" }, count, simulations, seed, by),
          h("div", { class: "row begin-row" }, this.start, this.note))));
    this.fillSteps();
  }

  async fillSteps() {
    const { run, step } = this.fields;
    const name = run.value;
    clear(step, h("option", { value: "" }, "newest"));
    const { steps } = await checkpointsOf(name, this.page.signal).catch(() => ({ steps: [] }));
    if (run.value !== name) return;
    step.append(...steps.slice().reverse().map((one) => h("option", { value: one }, String(one))));
  }

  async begin() {
    const { run, step, source, count, simulations, seed, by } = this.fields;
    const args = {
      run: run.value, by: by.value, play: source.value === "play", count: Number(count.value),
      simulations: Number(simulations.value), step: step.value ? Number(step.value) : null,
      seed: Number(seed.value),
    };
    this.params = { ...args, play: null, step: null, source: source.value };
    this.page.keep(this.params);
    this.start.disabled = true;
    this.note.textContent = "waiting"; // the first position takes a while
    const beginning = new Asker(this.page, (note) => { this.note.textContent = note; });
    const view = await beginning.put((options) => ask("oversee_begin", args, options));
    this.start.disabled = false;
    if (!view) return;
    this.session = view.session;
    if (view.moves === null) {
      await this.end("Every position found is decided already: another seed picks others.");
      return;
    }
    this.positions = new Positions(view.game);
    this.desk = new DeskView(this.root, this);
    this.desk.working(true);
    await this.take(view);
    await this.ask("state");
  }

  // Asks about the session in hand: `what` is the end of the op's name. Returns null if that failed.
  async ask(what, args = {}) {
    if (this.busy) return null;
    this.busy = true;
    this.desk.working(true);
    const { session, view } = this;
    const asked = { session, dealt: view.dealt, candidates: this.candidates, ...args };
    const onPart = (part) => this.take(part);
    const answer = await this.trying(() => ask(`oversee_${what}`, asked, { signal: this.page.signal, onPart }));
    this.busy = false;
    if (!answer) {
      if (!this.page.signal.aborted) this.desk.working(false);
      return null;
    }
    if (answer.ended) {
      this.offer([answer.ended]);
      return null;
    }
    if ("dealt" in answer) await this.take(answer);
    this.desk.working(false);
    return answer;
  }

  // Shows the session as it is now.
  async take(view) {
    this.view = view;
    const position = view.moves && await this.trying(() => this.positions.at(view.moves, { signal: this.page.signal }));
    if (this.view === view) this.desk.draw(view, position);
  }

  // Stops the session; `said` is why, if it is not the person's wish.
  async end(...said) {
    const { session } = this;
    this.session = null;
    const answer = await this.trying(() => ask("oversee_end", { session }, { signal: this.page.signal }));
    this.offer([...said, ...(answer?.said || []), ...(answer?.ended ? [answer.ended] : [])]);
  }

  // Gives the desk back as the page goes.
  leave() {
    if (this.session) askInPassing("oversee_end", { session: this.session });
    this.session = null;
  }

  async trying(work) {
    try {
      return await work();
    } catch (error) {
      this.page.fail(error);
      return null;
    }
  }
}

function input(labelled) {
  return labelled.querySelector("input");
}
