// Games from files and into files of the person at the browser.

import { ApiError, ask } from "./api.js";
import { clear, h } from "./dom.js";

const MOST = 60 << 20; // bytes; the server takes few more

// Returns what is shown to load and save games.
//   onLoad(record)   a record was chosen: {game, moves, returns, players}
//   game()           the spec of the game under way
//   record()         what to save: {game, moves, players, returns}
export class GameFiles {
  constructor(root, drop, { onLoad, game, record, onError, signal }) {
    Object.assign(this, { onLoad, game, record, onError, signal });
    this.input = h("input", { type: "file", accept: ".sgf,.jsonl,.json,.txt", "aria-label": "File of games", onchange: () => this.read(this.input.files[0]) });
    this.input.hidden = true;
    this.found = h("div", { class: "found-games", "aria-live": "polite" });
    this.sgf = h("button", { type: "button", onclick: () => this.save("sgf") }, "Save SGF");
    clear(root,
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => this.input.click() }, "Load a file …"),
        h("button", { type: "button", onclick: () => this.save("jsonl") }, "Save record"),
        this.sgf),
      this.input,
      h("p", { class: "quiet small" }, "SGF (Go) or our records, a JSON line a game; a file may be dropped anywhere on this page."),
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

  // SGF holds games of Go only.
  setGame(spec) {
    this.sgf.hidden = !/^go(:|$)/.test(spec);
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
      clear(this.found, h("p", { class: "quiet" }, `reading ${file.name}`));
      const answer = await ask("parse", { game: this.game(), text: await file.text(), name: file.name }, { signal: this.signal });
      this.offer(file.name, answer);
    } catch (error) {
      clear(this.found);
      this.onError(error);
    }
  }

  offer(name, { records, problems = [] }) {
    const wrong = problems.length > 0 && h("details", {},
      h("summary", { class: "bad" }, `${problems.length} could not be read`),
      h("ul", {}, problems.slice(0, 20).map((problem) => h("li", {}, problem))));
    if (records.length <= 1) {
      clear(this.found, h("p", {}, records.length ? `${name} is on the board.` : `${name} holds no game that can be read.`), wrong);
      if (records.length) this.onLoad(records[0]);
      return;
    }
    const select = h("select", { size: Math.min(8, records.length), "aria-label": `Games of ${name}`,
      onchange: () => this.onLoad(records[Number(select.value)]) },
    records.map((record, k) => h("option", { value: k }, `${k + 1}. ${recordLine(record)}`)));
    clear(this.found, h("p", {}, `${records.length} games in ${name}: choose one`), select, wrong);
    select.value = "0";
    this.onLoad(records[0]);
  }

  async save(form) {
    try {
      const { text, name } = await ask("write", { ...this.record(), form }, { signal: this.signal });
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

function recordLine({ players, returns, moves, game }) {
  const won = !returns || returns[0] === returns[1] ? "draw" : `${returns[0] > returns[1] ? "first" : "second"} won`;
  return `${(players || []).join(" – ")} · ${won} · ${moves.length} moves · ${game}`;
}
