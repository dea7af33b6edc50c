// Games from files and into files of the person at the browser.

import { ApiError, allow, ask } from "../lib/api.js";
import { clear, h } from "../lib/dom.js";
import { plural } from "./valuegraph.js";

const MOST = 60 << 20; // bytes; the server takes few more

// Returns what is shown to load and save games.
//   onLoad(record)   a record was chosen: {game, moves, variations, returns, players}; returns notes
//   game()           the spec of the game under way
//   record(form)     what to save as jsonl, sgf or pgn: {game, moves, players, returns}, variations for sgf
export class GameFiles {
  constructor(root, drop, { onLoad, game, record, onError, signal }) {
    Object.assign(this, { root, onLoad, game, record, onError, signal });
    this.input = h("input", { type: "file", accept: ".sgf,.pgn,.jsonl,.json,.txt", "aria-label": "File of games", onchange: () => this.read(this.input.files[0]) });
    this.input.hidden = true;
    this.about = h("p", { class: "quiet small" });
    this.found = h("div", { class: "found-games", "aria-live": "polite" });
    this.sgf = h("button", { type: "button", onclick: () => this.save("sgf") }, "Save SGF");
    this.pgn = h("button", { type: "button", onclick: () => this.save("pgn") }, "Save PGN");
    clear(root,
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => this.input.click() }, "Load a file …"),
        h("button", { type: "button", onclick: () => this.save("jsonl") }, "Save record"),
        this.sgf, this.pgn),
      this.input,
      this.about,
      h("p", { class: "quiet small" }, "SGF (Go, Hex, gomoku, Othello), PGN (chess) or our records, a JSON line a game; a file may be dropped anywhere on this page."),
      this.found);
    drop.addEventListener("dragover", (event) => this.over(event, drop));
    drop.addEventListener("dragleave", () => drop.classList.remove("dropping"));
    drop.addEventListener("drop", (event) => {
      drop.classList.remove("dropping");
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      this.read(event.dataTransfer.files[0]);
    });
  }

  // Of each form, the games that the server can write in it.
  setGame(spec) {
    this.sgf.hidden = !/^(go|hex|gomoku|othello)(:|$)/.test(spec);
    this.pgn.hidden = spec !== "pgx:chess";
  }

  // plies: of the line that is saved; aside: how many other lines there are.
  tell(plies, aside) {
    const line = `the line that goes through this position to its end (${plies === 1 ? "1 move" : `${plies} moves`})`;
    const others = aside === 1 ? "1 variation isn't saved" : `${aside} variations aren't saved`;
    clear(this.about, !aside ? `Saves ${line}.` : this.sgf.hidden ? `Saves ${line}; ${others}.`
      : `A record is ${line}; SGF holds all ${aside + 1} lines.`);
  }

  over(event, drop) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.add("dropping");
  }

  async read(file) {
    this.input.value = ""; // the same file may be chosen again
    if (!file) return;
    try {
      if (file.size > MOST) throw new ApiError(`${file.name} has ${file.size >> 20} MiB: at most ${MOST >> 20} can be read`);
      await this.parse(file.name, await file.text());
    } catch (error) {
      clear(this.found);
      this.onError(error);
    }
  }

  async parse(name, text) {
    const say = (what) => clear(this.found, h("p", { class: "quiet" }, what));
    say(`reading ${name}`);
    const answer = await ask("parse", { game: this.game(), text, name }, { signal: this.signal, onNote: say });
    this.offer(name, text, answer);
  }

  offer(name, text, { records, more }) {
    const about = h("div", {});
    const show = async (record) => {
      clear(about, this.remarks(record, name, text));
      if (!record.game || record.consent || isNothing(record)) return; // the board stays as it was
      const notes = await this.onLoad(record);
      if (notes.length && records[Number(select.value)] === record) clear(about, this.remarks({ ...record, notes: [...record.notes, ...notes] }, name, text));
    };
    if (!records.length) {
      clear(this.found, h("p", {}, `${name} holds no game.`));
      return;
    }
    const select = h("select", { size: Math.min(8, records.length), "aria-label": `Games of ${name}`,
      onchange: () => show(records[Number(select.value)]) },
    records.map((record, k) => h("option", { value: k }, `${k + 1}. ${recordLine(record)}`)));
    clear(this.found,
      h("p", {}, records.length === 1 ? name : `${more ? "The first " : ""}${records.length} games of ${name}: choose one`),
      records.length > 1 && select, about);
    select.value = "0";
    show(records[0]);
  }

  // What is to be said of a game in a file.
  remarks(record, name, text) {
    const { problem, result, notes = [], consent, moves } = record;
    const yes = () => allow(consent).then(() => this.parse(name, text)).catch((error) => this.onError(error));
    return [
      problem && h("p", { class: "bad" }, problem),
      problem && !consent && h("p", { class: "quiet" }, !record.game || isNothing(record) ? "The board is as it was." : `Shown up to there: ${plural(moves.length)}.`),
      result && h("p", {}, `Result: the file says ${result}.`),
      notes.map((note) => h("p", { class: "quiet" }, note)),
      consent && h("p", {}, "It is somebody's own code, with all that a program of yours may do. Run it only if you trust it. ",
        h("button", { type: "button", onclick: yes }, `Run ${consent}`)),
    ];
  }

  async save(form) {
    try {
      const { text, name } = await ask("write", { ...this.record(form), form }, { signal: this.signal });
      const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
      const link = h("a", { href: url, download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
      clear(this.found, h("p", {}, `saved as ${name}`));
    } catch (error) {
      this.onError(error);
    }
  }
}

// Whether nothing of a damaged game could be read.
function isNothing({ problem, moves }) {
  return Boolean(problem) && !moves.length;
}

function recordLine({ players, returns, result: said, moves, game, problem }) {
  const [first, second] = returns || [0, 0];
  const result = said || (!returns ? "no result" : first === second ? "draw" : `${first > second ? "first" : "second"} seat won`);
  return [problem && "⚠", players.filter(Boolean).join(" – "), result, `${moves.length} moves`, game].filter(Boolean).join(" · ");
}
