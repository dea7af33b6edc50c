// A match: its figures, how they came about game by game, and its games. Live while it is played.

import { get, repeat } from "../lib/api.js";
import { choice, clear, count, field, h, percent, resultBar, signed, table } from "../lib/dom.js";
import { Plot } from "../curves/chart.js";
import { PairView } from "./pairview.js";
import { playerHere } from "../lib/players.js";

const POLL = 3000; // milliseconds
const FIRST_GAMES = 32; // before so many, an Elo difference says little
const PAIR_POINTS = ["0", "½", "1", "1½", "2"]; // of a pair, for the first player
const TEST_FIELDS = ["elo0", "elo1", "alpha", "beta"];

export class MatchView {
  constructor(root, part) {
    Object.assign(this, { root, part, seen: "" });
  }

  async begin() {
    const { known, kept } = this.part;
    if (!known.matches.length && !kept.match) {
      clear(this.root, h("div", { class: "card" },
        h("p", {}, "There is no match here yet. A match that is played with --out keeps its games in a folder, which this page shows while they are played, if that lies in a folder that selfplay web was given:"),
        h("pre", { class: "mono" }, "selfplay arena runs/A@1200 runs/A@400 --out matches/first")));
      return;
    }
    const names = known.matches.map(({ name }) => name);
    this.name = kept.match || names[0];
    if (!names.includes(this.name)) names.unshift(this.name); // it may begin in a moment, or has been deleted
    this.part.keep({ match: this.name });
    this.test = Object.fromEntries(TEST_FIELDS.map((name) => [name, kept[name] || ""]));
    this.figures = h("div", {});
    this.testing = h("div", {});
    this.llr = new Plot(h("div", {}));
    this.elo = new Plot(h("div", {}));
    this.pairs = new PairView(h("div", {}), this.part);
    this.head = h("p", { class: "status-line", role: "status" });
    clear(this.root,
      h("div", { class: "row" }, choice("Match", names, this.name, (name) => this.part.open("match", { match: name }))),
      this.head,
      h("section", { class: "card", "aria-label": "Result" }, this.figures),
      h("div", { class: "columns" },
        h("section", { class: "card", "aria-label": "Sequential test" }, h("h2", {}, "Sequential test (SPRT)"), this.testing, this.testFields(), this.llr.root),
        h("section", { class: "card", "aria-label": "Elo over games" }, h("h2", {}, "Elo difference"),
          h("p", { class: "quiet" }, "Of the first player, after more and more games, with the 95% interval."), this.elo.root)),
      h("section", { class: "card", "aria-label": "Games" }, this.pairs.root));
    await this.again();
    repeat(async () => { if (!this.isDone) await this.again(); }, POLL, this.part);
  }

  show(match) {
    clear(this.head,
      h("span", { class: match.playing ? "tag good" : "tag" }, match.playing ? "being played" : match.games === match.of ? "finished" : "stopped"),
      ` ${match.game}, ${count(match.games)} of ${count(match.of)} games, ${conditionsOf(match.settings)}`,
      match.unfinished > 0 && h("span", { class: "quiet" }, `; ${match.unfinished} more are of a block that is not finished`),
      match.problem && h("span", { class: "bad" }, ` A line cannot be read, and none after it counts: ${match.problem}`));
    this.keepPlayers(match);
    const now = JSON.stringify(match);
    if (now === this.seen) return;
    this.seen = now;
    clear(this.figures, match.games ? matchFigures(match, (points) => this.pairs.filter(points)) : h("p", {}, `${match.players.join(" against ")}: no block of games is finished yet.`));
    this.showTest(match);
    this.pairs.update(match);
  }

  // Other parts begin with the match's players, until somebody chooses others.
  keepPlayers({ players, game }) {
    const { known, kept } = this.part;
    const [a, b] = players.map((player) => playerHere(player, known.runs, game));
    if (a && b && !kept.a && !kept.b) this.part.keep({ game, a, b });
  }

  showTest({ sprt, games }) {
    const [low, high] = sprt.bounds;
    clear(this.testing, h("p", {}, sprtInWords(sprt, games)));
    if (!sprt.course) return;
    const { games: x, llr, elo, elo_low: bottom, elo_high: top } = sprt.course;
    const level = (label, at, colour) => ({ label, x: [x[0], x.at(-1)], y: [at, at], colour, dash: [5, 4] });
    this.llr.draw({ unit: "LLR", across: "games", entries: [{ label: "LLR", x, y: llr },
      level(`H1: ${signed(sprt.elo1, 0)} Elo`, high, 2), level(`H0: ${signed(sprt.elo0, 0)} Elo`, low, 5)] });
    const known = (column) => column.filter((_, k) => x[k] >= Math.min(FIRST_GAMES, games / 4)); // before, the band would leave no room for the rest
    this.elo.draw({ unit: "Elo", across: "games", entries: [{ label: "Elo difference", x: known(x), y: known(elo), low: known(bottom), high: known(top) }] });
  }

  testFields() {
    const usual = { elo0: "0", elo1: "50", alpha: "0.05", beta: "0.05" };
    const changed = (name, value) => {
      this.test[name] = value.trim();
      this.part.keep({ [name]: this.test[name] });
      this.again();
    };
    return h("div", { class: "row" }, TEST_FIELDS.map((name) => field(name, { type: "number", step: "any", value: this.test[name] || usual[name],
      onchange: (event) => changed(name, event.target.value) })));
  }

  // Reads the match; what is wrong stands in its line until it is right again.
  async again() {
    try {
      const match = await get("match", { match: this.name, ...this.test }, this.part.signal);
      this.isDone = !match.playing && match.games === match.of;
      this.show(match);
    } catch (error) {
      if (!this.part.signal.aborted) clear(this.head, h("span", { class: "bad" }, error.message));
    }
  }
}

// Returns what is known of a match as elements; `onPoints` gets the points of pairs that are clicked.
function matchFigures(match, onPoints) {
  const [first, second] = match.players;
  const interval = (pair, of) => (pair ? `95%: ${of(pair[0])} to ${of(pair[1])}` : "decided by faults alone, which rates nobody");
  const score = (value) => value.toFixed(3);
  const elo = (value) => `${Math.abs(value) >= match.most_elo ? "beyond " : ""}${signed(value, 0)}`;
  const figure = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), " ", h("span", { class: "quiet" }, more)));
  return [
    h("h2", { class: "versus" }, first, h("span", { class: "quiet" }, "against"), second),
    h("p", {}, h("b", {}, `${count(match.wins)} won, ${count(match.draws)} drawn, ${count(match.losses)} lost`)),
    resultBar([["good", match.wins], ["quiet", match.draws], ["bad", match.losses]]),
    h("dl", { class: "figures" },
      figure("Score of the first", score(match.score), interval(match.interval, score)),
      match.elo != null && figure("Elo difference", elo(match.elo), interval(match.elo_interval, elo)),
      match.los != null && figure("Stronger", percent(match.los), "likelihood that the first one is"),
      figure("Games", count(match.games), `${count(match.distinct_games)} of them distinct`)),
    h("h3", {}, "By seat of the first player"),
    table(["Seat", "Won", "Drawn", "Lost"], match.by_seat.map(([won, drawn, lost], seat) =>
      [seat === 0 ? "first, which begins" : "second", won, drawn, lost])),
    h("h3", {}, "Pairs of games, by the first player's points"),
    h("p", { class: "quiet" }, "Both games of a pair have one opening, the seats swapped: together they are one observation. Click to see those pairs."),
    pentanomial(match.pairs, onPoints),
    endsInWords(match),
  ];
}

function pentanomial(pairs, onPoints) {
  const most = Math.max(1, ...pairs);
  return h("div", { class: "five" }, pairs.map((number, k) =>
    h("button", { type: "button", "aria-label": `${PAIR_POINTS[k]} points: ${number} pairs`, onclick: () => onPoints(String(k)) },
      h("meter", { max: most, value: number }), h("b", {}, count(number)), h("span", {}, PAIR_POINTS[k]))));
}

function endsInWords({ players, resigned, faults }) {
  return players.flatMap((player, k) => [
    resigned[k] > 0 && h("p", {}, `${player} resigned ${count(resigned[k])} games.`),
    ...Object.entries(faults[k]).map(([reason, times]) => h("p", { class: "warn" }, `${player} lost ${count(times)} games by a fault: ${reason}`)),
  ]);
}

function sprtInWords({ elo0, elo1, verdict, llr, bounds: [low, high], decided }, games) {
  const about = `Is the first player ${signed(elo1, 0)} Elo stronger (H1), or ${signed(elo0, 0)} (H0)? `
    + "Any match can be tested: choose the hypotheses and error rates below. The hypotheses that it was played with are not stored. ";
  if (!games) return about;
  const said = { H0: "H0 is accepted.", H1: "H1 is accepted.", undecided: "Undecided." }[verdict];
  const when = decided ? ` Asked after every pair, it would have ended after ${count(decided)} games.` : "";
  return `${about}${said} LLR ${signed(llr)}, bounds ${signed(low)} and ${signed(high)}.${when}`;
}

function conditionsOf(settings) {
  const plies = settings.opening_plies;
  return [plies != null && `openings of ${plies} plies`, `${settings.simulations} simulations`, `seed ${settings.seed}`].filter(Boolean).join(", ");
}
