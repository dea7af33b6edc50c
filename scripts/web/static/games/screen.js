// Games of a run or a match: a list with filters, a replay, and how games begin.

import { Asker, get } from "../lib/api.js";
import { choice, clear, h } from "../lib/dom.js";
import { FILTERS, gameFilters, resultText, showGames } from "./gamestable.js";
import { Openings } from "./openings.js";
import { Replayer } from "../board/replayer.js";
import { seatNameOf } from "../board/positions.js";

const SELF_PLAY = "self-play"; // the kind of file that a run's screen opens on

export async function show(root, params, page) {
  const { runs, matches } = await get("runs", {}, page.signal);
  const folders = [...runs, ...matches].map(({ name }) => name);
  if (!folders.length) {
    root.append(h("h1", {}, "Games"), h("p", {}, "There is no run here yet: selfplay train makes one."));
    return;
  }
  const run = params.run || params.match || folders[0];
  const { files } = await get("games", { run }, page.signal);
  const held = files.filter(({ bytes }) => bytes > 0);
  const kept = held.find(({ kind }) => kind.startsWith(SELF_PLAY)) || held[0]; // the newest of them
  const file = params.file || kept?.file;
  const go = (others) => page.go("games", others);
  const head = h("div", { class: "card" },
    h("h1", {}, "Games"),
    h("div", { class: "row" },
      choice("Run or match", folders.includes(run) ? folders : [run, ...folders], run, (name) => go({ run: name })),
      held.length > 0 && choice("Games", held.map(({ file, kind }) => [file, kind]),
        file, (other) => go({ run, file: other }))));
  root.append(head);
  if (!held.length) {
    root.append(h("p", {}, "It has no game yet: a run keeps some of its self-play, and all of its evaluation games."));
    return;
  }
  await new Games(root, head, page, { ...params, run, file }).begin();
}

class Games {
  constructor(root, head, page, params) {
    Object.assign(this, { page, params: { ...params, page: Number(params.page) || 0 }, head,
      filling: new Asker(page), opening: new Asker(page), growing: new Asker(page) });
    this.filters = h("div", {});
    head.append(this.filters);
    this.list = h("section", { class: "card", "aria-label": "List of games" });
    this.about = h("div", { class: "replay-about" });
    this.tree = h("div", {});
    this.here = h("input", { type: "checkbox", onchange: () => this.refill() });
    const replay = h("div", {});
    root.append(h("div", { class: "columns" },
      h("div", {},
        h("section", { class: "card", "aria-label": "Replay" }, this.about, replay)),
      h("div", {},
        h("section", { class: "card", "aria-label": "Openings" }, h("h2", {}, "How games go on from here"), this.tree,
          h("label", { class: "small" }, this.here, " list only games that come through this position's moves")),
        this.list)));
    this.replayer = new Replayer(replay, page, {
      onShow: (position, ply) => this.shown(position, ply), onMove: (action) => this.descend(action) });
    this.openings = new Openings(this.tree, { onMove: (action) => this.descend(action),
      onHover: (action) => this.replayer.board.marks(action === null ? null : [{ action, kind: "hover" }]) });
    page.onKey("n", "the next, older game", () => this.step(1));
    page.onKey("p", "the game before it, newer", () => this.step(-1));
  }

  async begin() {
    await this.fill();
    const { index, ply } = this.params;
    if (index !== undefined) await this.open(index, Number(ply) || 0);
    else if (this.answer.rows.length) await this.open(this.answer.rows[0].index, 0);
  }

  // What all questions about the file share.
  get asked() {
    const chosen = Object.fromEntries(FILTERS.map((name) => [name, this.params[name]]));
    return { run: this.params.run, file: this.params.file, ...chosen };
  }

  // Fills the list anew, from its first page.
  async refill() {
    this.params.page = 0;
    await this.fill();
  }

  async fill() {
    const { replayer: { moves, ply } } = this;
    const line = this.here.checked ? moves.slice(0, ply).join() : "";
    const answer = await this.filling.put(({ signal }) => get("games", { ...this.asked, page: this.params.page, moves: line }, signal));
    if (!answer) return;
    this.answer = answer;
    this.showAll();
    this.remember();
  }

  showAll() {
    clear(this.filters, gameFilters(this.params, this.answer.players, this.position, (name, value) => this.filter(name, value)));
    this.showList();
  }

  showList() {
    showGames(this.list, this.answer, this.record?.index, this.position, {
      onOpen: (row) => this.open(row.index, 0),
      onPage: (page) => { this.params.page = page; this.fill(); } });
  }

  async filter(name, value) {
    this.params[name] = value || undefined;
    if (name === "player" && !value) this.params.seat = undefined;
    await this.refill();
    this.grow();
  }

  async open(index, ply) {
    const { run, file } = this.params;
    const record = await this.opening.put(({ signal }) => get("record", { run, file, index }, signal));
    if (!record) return;
    this.record = record;
    this.showList();
    await this.replayer.set(this.record.game, this.record.moves, ply);
  }

  step(by) {
    const { rows } = this.answer;
    const place = rows.findIndex((row) => row.index === this.record?.index);
    const next = rows[place + by];
    if (next) this.open(next.index, 0);
  }

  // Goes on by a move: along the game while it is the game's, else on a line of its own.
  descend(action) {
    const { moves, ply } = this.replayer;
    if (moves[ply] === action) this.replayer.go(ply + 1);
    else this.replayer.set(this.record.game, [...moves.slice(0, ply), action], ply + 1);
  }

  shown(position, ply) {
    const isNamed = Boolean(this.position);
    this.position = position;
    if (!isNamed) this.showAll(); // now that it is known what the seats are called
    this.tell(ply);
    this.remember();
    this.grow();
    if (this.here.checked) this.refill();
  }

  // Says which game is on the board, and where it left it.
  tell(ply) {
    const { record, replayer: { moves } } = this;
    const left = moves.findIndex((action, k) => action !== record.moves[k]);
    const link = this.page.link("play", { run: this.params.run, file: this.params.file, index: record.index, ply });
    clear(this.about,
      h("h2", {}, record.players.map((name, seat) => `${seatNameOf(this.position, seat)}: ${name}`).join(" – ")),
      h("p", { class: "quiet" }, `${record.game}, ${record.moves.length} moves, ${resultText(record, this.position)}`),
      left < 0 ? null : h("p", {}, "This line has left the game. ",
        h("button", { type: "button", onclick: () => this.replayer.set(record.game, record.moves, left) }, "Back to it")),
      h("p", {}, h("a", { href: link, class: "analyse" }, "Analyse this game")));
  }

  // Shows the openings of the position on the board.
  async grow() {
    const { position, record, replayer: { moves, ply } } = this;
    if (!position) return;
    const args = { ...this.asked, game: record.game, moves: moves.slice(0, ply).join() };
    const node = await this.growing.put(({ signal }) => get("openings", args, signal));
    if (node) this.openings.show(node, new Map(position.moves.map((move) => [move.action, move.name])), position);
  }

  remember() {
    const { run, file } = this.params;
    const chosen = Object.fromEntries(FILTERS.map((name) => [name, this.params[name] || null]));
    this.page.keep({ run, file, index: this.record?.index, ply: this.replayer.ply || null, page: this.params.page || null, ...chosen });
  }
}
