// Examples of a run's replay: what it learns from, beside what its network says now.

import { Asker, ask, get } from "../lib/api.js";
import { Board, heatLegend } from "../board/board.js";
import { choice, clear, count, h, percent, signed, table } from "../lib/dom.js";
import { planeGrid } from "../board/planes.js";

const ORDERS = [["policy", "largest KL(policy target || network's policy)"], ["value", "largest error of the network's value"], ["newest", "newest"], ["random", "random"]];
const ROW_COLUMNS = {
  action: "number of the action played",
  outcome: "the game's return, for the seat to play",
  root_value: "what the search thought of the position",
  raw_value: "what the network thought of it then",
  weight: "of the example in the loss",
  ply: "moves before it",
  game_id: "number of the game in the run",
  weights_step: "training step of the weights that searched",
};
const POSITION_HOW = {
  examples: "The position of the example: the moves to it are those of its game's earlier examples.",
  record: "The position of the example: the moves to it are those of its recorded game.",
  search: "An example holds no position, and the moves to this one are not known. The board shows a position that looks the same to the network; the marked last move is not the game's.",
};

const FIRST_ROWS = 10; // of the list, before somebody asks for more

export async function show(root, params, page) {
  const { runs } = await get("runs", {}, page.signal);
  const names = runs.map(({ name }) => name);
  if (!names.length) {
    clear(root, h("h1", {}, "Replay"), h("p", {}, "There is no run here yet."));
    return;
  }
  const screen = new Replay(root, page, names, params);
  await screen.begin();
}

class Replay {
  constructor(root, page, names, params) {
    const run = names.includes(params.run) ? params.run : names[0];
    const order = ORDERS.some(([key]) => key === params.order) ? params.order : "policy";
    Object.assign(this, { root, page, names, run, order, id: params.id, symmetry: Number(params.symmetry) || 0, rows: [], listed: FIRST_ROWS });
  }

  async begin() {
    this.status = h("p", { class: "status-line", role: "status" });
    this.list = h("div", { class: "rows-list" });
    this.rowStatus = h("p", { class: "status-line", role: "status" });
    this.loading = new Asker(this.page, (note) => { this.status.textContent = note; });
    this.choosing = new Asker(this.page, (note) => { this.rowStatus.textContent = note; });
    this.row = h("div", {});
    clear(this.root,
      h("h1", {}, "Replay"),
      h("section", { class: "card", "aria-label": "Examples" },
        h("div", { class: "row" },
          choice("Run", this.names, this.run, (run) => this.page.go("replay", { run, order: this.order })),
          choice("Order", ORDERS, this.order, (order) => { this.order = order; this.keep(); this.load(true); }),
          h("button", { type: "button", onclick: () => this.load(true) }, "Read again")),
        this.status, this.list),
      this.rowStatus, this.row);
    this.page.onKey("ArrowDown", "the next example of the list", () => this.step(1));
    this.page.onKey("ArrowUp", "the example before it", () => this.step(-1));
    this.page.onKey("s", "the next symmetry of the example", () => this.turn());
    await this.load(this.id === undefined);
  }

  keep() {
    this.page.keep({ run: this.run, order: this.order, id: this.id, symmetry: this.symmetry || "" });
  }

  async load(choosing) {
    const { run, order } = this;
    const answer = await this.loading.put((options) => ask("examples", { run, order }, options));
    if (!answer) return;
    const { examples, sampled, first, last, player, mean } = answer;
    this.rows = examples;
    this.status.textContent = `${count(sampled)} of the newest examples (${count(first)} to ${count(last)}), judged by ${player}: `
      + `on average ${mean.divergence.toFixed(3)} nats and a value error of ${mean.value_error.toFixed(2)}.`;
    this.showList();
    await this.choose(choosing ? examples[0].id : Number(this.id), choosing ? 0 : this.symmetry);
  }

  showList() {
    const line = (one) => h("tr", { "aria-selected": String(one.id === this.id) },
      h("td", {}, h("button", { type: "button", onclick: () => this.choose(one.id, 0) }, count(one.id))),
      h("td", {}, one.divergence.toFixed(3)), h("td", {}, signed(one.value_error)), h("td", {}, signed(one.value)),
      h("td", {}, signed(one.outcome, 0)), h("td", {}, signed(one.root_value)), h("td", {}, one.ply), h("td", {}, count(one.weights_step)));
    const at = this.rows.findIndex(({ id }) => id === this.id);
    const shown = this.rows.slice(0, Math.max(this.listed, at + 1));
    const left = this.rows.length - shown.length;
    clear(this.list, h("table", {},
      h("thead", {}, h("tr", {}, ["Example", "KL, nats", "Value error", "Network", "Outcome", "Search at the time", "Ply", "Step of the weights"].map((name) => h("th", {}, name)))),
      h("tbody", {}, shown.map(line))),
    left > 0 && h("button", { type: "button", onclick: () => { this.listed = this.rows.length; this.showList(); } }, `${left} more`));
  }

  step(turn) {
    const at = this.rows.findIndex(({ id }) => id === this.id);
    const next = this.rows[at + turn];
    if (!next) return;
    this.choose(next.id, 0);
    this.list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  turn() {
    if (this.answer) this.choose(this.id, (this.symmetry + 1) % this.answer.images.length);
  }

  async choose(id, symmetry) {
    Object.assign(this, { id, symmetry });
    this.keep();
    this.showList();
    this.rowStatus.textContent = "loading";
    const found = await this.choosing.put(async (options) => {
      const answer = await ask("example", { run: this.run, id, symmetry }, options);
      return [answer, answer.moves && await ask("position", { game: answer.game, moves: answer.moves }, options)];
    });
    if (!found) return clear(this.row);
    [this.answer] = found;
    return this.showRow(...found);
  }

  showRow(answer, position) {
    const { images, symmetry } = answer;
    clear(this.row,
      h("section", { class: "card", "aria-label": `Example ${answer.id}` },
        h("div", { class: "row" }, h("h2", {}, `Example ${count(answer.id)}`),
          images.length > 1 && choice("Shown through symmetry", images.map((image, k) => [String(k), symmetryName(image, k)]), String(symmetry),
            (chosen) => this.choose(this.id, Number(chosen)))),
        this.seen(answer, position), this.targets(answer)),
      h("section", { class: "card", "aria-label": "Planes" },
        h("h2", {}, "Planes of the observation"),
        h("p", { class: "quiet" }, "What the network sees: filled cells are 1, in the view of the seat to play. The first plane holds that seat's own pieces."),
        h("div", { class: "planes" }, answer.planes.map((plane, k) => planeGrid(plane, answer.plane_names[k] ? `${k}: ${answer.plane_names[k]}` : String(k))))));
  }

  // The position with the policy target, and the network's policy beside it.
  seen(answer, position) {
    const best = Math.max(...answer.actions.map(({ policy }) => policy));
    const heated = (key, title) => {
      const box = h("div", {});
      const board = new Board(box, { label: title });
      board.show(position);
      board.heat(answer.actions.map((one) => ({ action: one.action, value: one[key], text: String(Math.round(100 * one[key])),
        best: key === "target" ? one.played : one.policy === best })));
      return h("div", {}, h("h3", {}, title), box);
    };
    const how = position ? POSITION_HOW[answer.position] : answer.position
      ? "This symmetry changes the opening position: the image cannot be drawn from moves."
      : "An example holds no position, and the moves to this one are not known: only the network's observation can be shown.";
    return h("div", {},
      position && h("div", { class: "side-by-side" },
        heated("target", "Policy target (ringed: played)"), heated("policy", "Network now (ringed: its best)")),
      position && heatLegend("share"), h("p", { class: "quiet" }, how));
  }

  targets(answer) {
    const { columns, now, root_value_weight: share } = answer;
    const named = Object.entries(columns).map(([name, value]) => [h("span", { class: "mono" }, name), numberInWords(value), ROW_COLUMNS[name] || ""]);
    return h("div", { class: "row-parts" }, h("div", {},
      h("h3", {}, "Value"),
      table(["", "", ""], [
        ["target", h("b", {}, signed(answer.value_target)), `${1 - share} × outcome + ${share} × root_value, as the run learns it`],
        ["network now", h("b", {}, signed(now.value)), answer.player],
        ["error", signed(now.value_error), "target less network"],
        ["KL", now.divergence.toFixed(3), `nats, of the policy target from the network's policy, whose entropy is ${now.entropy.toFixed(2)}`]]),
      h("h3", {}, "Moves"),
      table(["Move", "Target", "Network", "Search's value"], answer.actions.slice(0, 8).map((one) =>
        [h("span", {}, one.name ?? `action ${one.action}`, one.played && h("span", { class: "tag" }, "played")), percent(one.target), percent(one.policy), signed(one.q)])),
      answer.actions.length > 8 && h("p", { class: "quiet" }, `and ${answer.actions.length - 8} other legal moves`),
      !answer.moves && h("p", { class: "quiet" }, "Names are those of the opening position.")),
    h("div", {},
      h("h3", {}, "Columns of the example"),
      table(["Column", "", ""], named),
      answer.targets.map((target) => furtherTarget(target))));
  }
}

function symmetryName({ same }, k) {
  return k === 0 ? "0, as stored" : `${k}${same ? ", looks the same" : ""}`;
}

function furtherTarget({ name, weight, kind, value }) {
  const head = h("h3", {}, "Target ", h("span", { class: "mono" }, name));
  if (!weight) return h("div", {}, head, h("p", { class: "quiet" }, "This example has no such target."));
  if (value === null) return h("div", {}, head, h("p", { class: "quiet" }, "Made from the other columns in training."));
  if (kind === "per cell") return h("div", {}, head, planeGrid(value, name));
  if (kind === "per action") {
    const most = value.map((share, action) => [share, action]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    return h("div", {}, head, h("p", {}, most.map(([share, action]) => `action ${action}: ${percent(share)}`).join(", ")));
  }
  return h("div", {}, head, h("p", {}, numberInWords(value)));
}

function numberInWords(value) {
  return Number.isInteger(value) ? count(value) : signed(value, 3);
}
