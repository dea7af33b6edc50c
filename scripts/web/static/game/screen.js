// What a game is: its facts, a random game step by step, what the network sees, and its check.

import { Asker, ask, get, restartWorker } from "../lib/api.js";
import { checkResult } from "./checked.js";
import { clear, coded, field, h, table } from "../lib/dom.js";
import { observationOf } from "../board/observation.js";
import { GameChoice } from "../lib/players.js";
import { Replayer } from "../board/replayer.js";
import { seatAsSubject } from "../board/positions.js";

const FIRST_GAME = "connect_four";
const CHECKED_GAMES = 256; // as `selfplay game check` plays

export async function show(root, params, page) {
  const game = params.game || FIRST_GAME;
  const { games } = await get("catalogue", {}, page.signal);
  const choice = new GameChoice({ games, value: game, signal: page.signal, onchange: () => page.go("game", { game: choice.value }) });
  const rules = h("section", { class: "card", "aria-label": "Rules" }, h("p", { class: "quiet" }, "loading"));
  root.append(h("h1", {}, "Rules"), h("div", { class: "row game-choice" }, choice.element), rules);
  drawRules(rules, await ask("rules", { game }, { signal: page.signal }), page);
  const random = new RandomGame(game, page);
  root.append(random.element, checkCard(game, page));
  await random.begin(Number(params.seed) || 0);
}

function drawRules(card, told, page) {
  const facts = told.facts.map(({ name, text, failed }) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: failed ? "bad" : "" }, coded(text))));
  const options = told.options.map(({ name, value, default: usual }) => [name, value, value === usual ? "" : `usually ${usual}`]);
  clear(card,
    h("h2", {}, told.game),
    told.own && h("p", { class: "row" },
      h("button", { type: "button", onclick: () => restartWorker().then(page.again) }, "Load its file again"),
      h("span", { class: "quiet small" }, "This restarts the process that searches; searches of other pages end.")),
    // Lines of a docstring end where its source does: only its paragraphs are its own.
    told.documentation.flatMap((text) => text.split(/\n[ \t]*\n/)).map((text) => h("p", { class: /^[\s*|-]/m.test(text) ? "told" : "" }, coded(text))),
    h("div", { class: "columns rules-columns" },
      h("table", { class: "rules-facts" }, h("tbody", {}, facts)),
      h("div", {},
        options.length > 0 && [h("h3", {}, "Options"), table(["Option", "Here", ""], options)],
        h("h3", {}, "What a game may have"),
        h("ul", { class: "protocols" }, told.optional.map(({ words, name, about, has }) => h("li", {},
          h("strong", {}, words), " ", h("span", { class: has ? "tag good" : "tag quiet" }, has ? "yes" : "no"),
          h("br", {}), h("span", { class: "quiet small" }, coded(about), " (", h("code", {}, name), ")")))))));
}

class RandomGame {
  constructor(game, page) {
    Object.assign(this, { game, page, symmetry: 0, seeing: new Asker(page), beginning: new Asker(page) });
    this.odd = h("p", { class: "warn" });
    this.seen = h("div", {});
    const replay = h("div", {});
    this.element = h("div", { class: "columns" },
      h("section", { class: "card", "aria-label": "A random game" }, h("h2", {}, "A random game"), replay, this.odd,
        h("div", { class: "row" }, h("button", { type: "button", onclick: () => this.begin(this.seed + 1) }, "Another game"),
          h("span", { class: "quiet small" }, "Click the board to play another move."))),
      h("section", { class: "card", "aria-label": "What the network sees" }, h("h2", {}, "What the network sees"), this.seen));
    this.replayer = new Replayer(replay, page, { onShow: () => this.look(),
      onMove: (action) => this.replayer.set(game, [...this.line, action], this.replayer.ply + 1) });
    page.onKey("n", "another random game", () => this.begin(this.seed + 1));
  }

  // The moves to the position on the board.
  get line() {
    return this.replayer.moves.slice(0, this.replayer.ply);
  }

  async begin(seed) {
    this.seed = seed;
    const played = await this.beginning.put((options) => ask("random_game", { game: this.game, seed }, options));
    if (!played) return;
    this.odd.textContent = played.odd ? `Odd: ${played.odd}.` : "";
    await this.replayer.set(this.game, played.moves, 0);
  }

  async look() {
    const args = { game: this.game, moves: this.line, symmetry: this.symmetry };
    const seen = await this.seeing.put((options) => ask("planes", args, options));
    if (!seen) return clear(this.seen);
    const through = Array.from({ length: seen.symmetries }, (_, k) => h("button", {
      type: "button", "aria-pressed": String(k === this.symmetry), onclick: () => { this.symmetry = k; this.look(); } }, k === 0 ? "as it is" : String(k)));
    return clear(this.seen,
      h("p", { class: "quiet small" }, `${seen.planes.length} planes of ${seen.dtype}, as seen by ${seatAsSubject(this.replayer.position, seen.to_play)}, who is to play.`),
      seen.symmetries > 1 && h("div", { class: "row symmetries", role: "group", "aria-label": "Symmetry" },
        h("span", { class: "quiet" }, "Through symmetry"), h("span", { class: "joined" }, through)),
      observationOf(seen));
  }
}

function checkCard(game, page) {
  const note = h("p", { class: "quiet", role: "status", "aria-live": "polite" });
  const result = h("div", {});
  const checking = new Asker(page, (text) => { note.textContent = text && `trying: ${text}`; });
  const games = field("Random games", { type: "number", min: 1, max: 4096, value: CHECKED_GAMES });
  const check = async () => {
    clear(result);
    [start.disabled, stop.hidden] = [true, false];
    const found = await checking.put((options) => ask("check", { game, games: Number(games.lastChild.value) }, options));
    [start.disabled, stop.hidden] = [false, true];
    if (found) clear(result, checkResult(found));
  };
  const start = h("button", { type: "button", class: "primary", onclick: check }, "Check");
  const stop = h("button", { type: "button", hidden: true, onclick: () => checking.stop() }, "Stop");
  page.onKey("c", "check the game", () => start.click());
  return h("section", { class: "card", "aria-label": "Does it keep the laws?" }, h("h2", {}, "Does it keep the laws?"),
    h("p", {}, "Plays random games and tests every law that training relies on, as ", h("code", {}, "selfplay game check"), " does. Positions that break a law are shown on the board."),
    h("div", { class: "row" }, games, start, stop), note, result);
}
