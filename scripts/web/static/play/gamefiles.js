// Games from files and into files of the person at the browser.

import { ApiError, Asker, allow, ask } from "../lib/api.js";
import { clear, h } from "../lib/dom.js";
import { plural } from "./valuegraph.js";

const MOST = 60 << 20; // bytes; the server takes few more

// Shows what loads and saves games.
//   onLoad(record)   a record was chosen: {game, moves, variations, returns, players}; returns notes
//   game()           the spec of the game under way
//   record(form)     what to save as jsonl, sgf or pgn: {game, moves, players, returns}, variations for sgf
export class GameFiles {
  constructor(root, { onLoad, game, record, page }) {
    Object.assign(this, { root, onLoad, game, record, page });
    this.asker = new Asker(page);
    const input = h("input", { type: "file", accept: ".sgf,.pgn,.jsonl,.json,.txt", "aria-label": "File of games", onchange: () => {
      this.read(input.files[0]);
      input.value = ""; // the same file may be chosen again
    } });
    this.found = h("div", { class: "found-games", "aria-live": "polite" });
    const save = (form, text) => h("button", { type: "button", onclick: () => this.save(form) }, text);
    [this.sgf, this.pgn] = [save("sgf", "Save SGF"), save("pgn", "Save PGN")];
    clear(root, h("div", { class: "row" }, input, save("jsonl", "Save record"), this.sgf, this.pgn),
      h("p", { class: "quiet small" }, "SGF (Go, Hex, gomoku, Othello), PGN (chess), or records of selfplay: JSON, a game a line. SGF holds all variations, other files the line on the board to its end."),
      this.found);
  }

  // Of each form, the games that the server can write in it.
  setGame(spec) {
    this.sgf.hidden = !/^(go|hex|gomoku|othello)(:|$)/.test(spec);
    this.pgn.hidden = spec !== "pgx:chess";
  }

  async read(file) {
    if (!file) return;
    if (file.size > MOST) this.page.fail(new ApiError(`${file.name} has ${file.size >> 20} MiB: at most ${MOST >> 20} can be read`));
    else await this.parse(file.name, await file.text());
  }

  async parse(name, text) {
    clear(this.found, h("p", { class: "quiet" }, `reading ${name}`));
    const answer = await this.asker.put((options) => ask("parse", { game: this.game(), text, name }, options));
    if (answer) this.offer(name, text, answer);
    else clear(this.found);
  }

  offer(name, text, { records, more }) {
    const about = h("div", {});
    const show = async (record) => {
      clear(about, this.remarks(record, name, text));
      if (!record.game || record.consent || isNothing(record)) return; // the board stays as it was
      const notes = await this.onLoad(record);
      clear(about, this.remarks({ ...record, notes: [...record.notes, ...notes] }, name, text));
    };
    const select = h("select", { size: Math.min(8, records.length), "aria-label": `Games of ${name}`, onchange: () => show(records[select.selectedIndex]) },
      records.map((record, k) => h("option", { selected: k === 0 }, `${k + 1}. ${recordLine(record)}`)));
    clear(this.found,
      h("p", {}, !records.length ? `${name} holds no game.` : records.length === 1 ? name : `${more ? "The first " : ""}${records.length} games of ${name}: choose one`),
      records.length > 1 && select, about);
    if (records.length) show(records[0]);
  }

  // What is to be said of a game in a file.
  remarks(record, name, text) {
    const { problem, result, notes = [], consent, moves } = record;
    const yes = () => allow(consent).then(() => this.parse(name, text)).catch(this.page.fail);
    return [
      problem && h("p", { class: "bad" }, problem),
      problem && !consent && h("p", { class: "quiet" }, !record.game || isNothing(record) ? "The board is as it was." : `Shown up to there: ${plural(moves.length)}.`),
      result && h("p", {}, `Result: the file says ${result}.`),
      notes.map((note) => h("p", { class: "quiet" }, note)),
      consent && h("p", {}, "This is somebody else's code, which may do all that your programs may. Run it only if you trust it. ",
        h("button", { type: "button", onclick: yes }, `Run ${consent}`)),
    ];
  }

  async save(form) {
    const answer = await this.asker.put((options) => ask("write", { ...this.record(form), form }, options));
    if (!answer) return;
    const href = URL.createObjectURL(new Blob([answer.text], { type: "application/octet-stream" }));
    h("a", { href, download: answer.name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
    clear(this.found, h("p", {}, `saved as ${answer.name}`));
  }
}

// Whether nothing of a damaged game could be read.
function isNothing({ problem, moves }) {
  return Boolean(problem) && !moves.length;
}

function recordLine({ players, returns, result: said, moves, game, problem }) {
  const [first, second] = returns || [0, 0];
  const result = said || (!returns ? "no result" : first === second ? "draw" : `${first > second ? "first" : "second"} seat won`);
  return [problem && "⚠", players.filter(Boolean).join(" – "), result, plural(moves.length), game].filter(Boolean).join(" · ");
}
