// Who plays what: game, opponent, seat, and how much is searched.

import { choice, clear, field, h } from "../lib/dom.js";
import { GameChoice, PlayerChoice, baseOf, isShipped, playerName, splitPlayer, trainedFor } from "../lib/players.js";
import { seatNameOf } from "../board/positions.js";

const SIMULATIONS = 200; // as `selfplay play`
const SEATS = [["0", "first seat"], ["1", "second seat"]];
const MOST_SIMULATIONS = 100000; // what the worker takes

export class PlaySetup {
  // begun: {game, player, analyst, seat, simulations, temperature}; onGame, onPlayer, onSeat and
  // onSearch are called after a change; onNew at the button.
  constructor(root, { games, runs, shipped, begun, signal, onGame, onPlayer, onSeat, onSearch, onNew }) {
    Object.assign(this, { runs, shipped });
    this.game = new GameChoice({ games, value: begun.game, signal, onchange: () => { this.gameChosen(); onGame(); } });
    const players = { runs, shipped, game: begun.game, signal };
    this.opponent = new PlayerChoice("Opponent", { ...players, none: "nobody: I move for both", value: begun.player,
      onchange: () => {
        const played = this.gameOf(this.player);
        if (played && played !== this.game.value) {
          this.setGame(played);
          onGame();
        }
        this.opponentChosen();
        onPlayer();
      } });
    this.analyst = new PlayerChoice("Analysis by", { ...players, none: "no analysis", value: begun.analyst, onchange: () => { this.tell(); onSearch(); } });
    this.seatField = choice("Your seat", SEATS, String(begun.seat), () => { this.tell(); onSeat(); });
    this.seatSelect = this.seatField.querySelector("select");
    const changed = () => { this.tell(); onSearch(); };
    this.simulationsField = field("Simulations", { type: "number", min: 0, max: MOST_SIMULATIONS, value: begun.simulations ?? SIMULATIONS,
      title: "of each search; 0: what the network says, without a search", onchange: changed });
    this.temperatureField = field("Temperature", { type: "number", min: 0, max: 10, step: 0.1, value: begun.temperature ?? 1,
      title: "0: always its best move; above 0, it picks at random among nearly equal moves in the first 8 plies", onchange: changed });
    this.keepBox = h("input", { type: "checkbox", checked: true });
    this.keepField = h("p", { class: "keep" }, h("label", {}, this.keepBox, " Keep finished games"), h("span", { class: "quiet" }));
    this.summary = h("summary", {});
    this.details = h("details", { class: "card setup" }, this.summary,
      h("div", { class: "row" }, this.game.element, this.opponent.element, this.seatField, this.simulationsField,
        this.temperatureField, this.analyst.element,
        h("button", { type: "button", class: "primary", onclick: onNew }, "New game")),
      this.keepField);
    clear(root, this.details);
    this.tell();
  }

  get player() { return this.opponent.value; }

  get analysing() { return this.analyst.value; }

  get hasNetwork() {
    const { run } = splitPlayer(this.analysing);
    return isShipped(run) || this.analyst.isRun(run);
  }

  get isBlind() { return splitPlayer(this.analysing).run === "uniform"; }

  get seat() { return Number(this.seatSelect.value); }

  set seat(seat) {
    this.seatSelect.value = String(seat);
    this.tell();
  }

  // Calls the seats as the board of a position does.
  nameSeats(position) {
    for (const [seat, option] of [...this.seatSelect.options].entries()) {
      const [name, otherwise] = [seatNameOf(position, seat), SEATS[seat][1]];
      option.textContent = name.toLowerCase() === otherwise ? otherwise : `${name} (${otherwise})`;
    }
  }

  get simulations() { return whole(this.simulationsField, SIMULATIONS); }

  get temperature() {
    const given = Number(this.temperatureField.querySelector("input").value);
    return Number.isFinite(given) && given >= 0 ? given : 1;
  }

  // The run that a finished game is kept in, "" if in none.
  get keeping() {
    return this.keepBox.checked ? this.opponentRun() : "";
  }

  opponentRun() {
    const { run } = splitPlayer(this.player);
    return this.opponent.isRun(run) ? run : "";
  }

  // Makes the choices fit a game that comes from elsewhere, such as a file.
  setGame(spec) {
    this.game.set(spec);
    this.gameChosen();
  }

  gameChosen() {
    const trained = trainedFor(this.runs, this.shipped, this.game.value);
    for (const [one, otherwise] of [[this.opponent, "uniform"], [this.analyst, ""]]) {
      one.setGame(this.game.value);
      const played = this.gameOf(one.value);
      if (one.value === otherwise || (played && played !== this.game.value)) one.set(trained || otherwise);
    }
    this.tell();
  }

  // Why nothing is judged, "" where somebody analyses.
  get unjudged() {
    if (this.analysing) return "";
    const game = this.game.value;
    if (trainedFor(this.runs, this.shipped, game)) return "Nobody analyses: choose who does under “Analysis by”.";
    const others = this.shipped.filter((one) => baseOf(one.game) === baseOf(game)).map((one) => one.game);
    return `There is no trained player for ${game} here, so nothing is judged.${others.length ? ` There is one for ${others.join(", ")}.` : ""} `
      + "“uniform” under “Analysis by” searches without a network.";
  }

  // The game of a run, or of a player that comes with the package.
  gameOf(player) {
    return [...this.runs, ...this.shipped].find(({ name }) => name === splitPlayer(player).run)?.game;
  }

  opponentChosen() {
    if (this.gameOf(this.player)) this.analyst.set(this.player);
    this.tell();
  }

  tell() {
    const { run } = splitPlayer(this.player);
    const against = this.player ? `against ${playerName(run)}${splitPlayer(this.player).step ? `@${splitPlayer(this.player).step}` : ""}` : "both sides by hand";
    clear(this.summary, h("strong", {}, this.game.value), ` · ${against} · ${this.simulations} simulations `, h("span", { class: "change" }, "change"));
    this.seatField.hidden = this.temperatureField.hidden = !this.player;
    this.keepField.hidden = !this.opponentRun();
    this.keepField.lastChild.textContent = ` in ${this.opponentRun()}/games/played.jsonl`;
  }
}

function whole(label, otherwise) {
  const input = label.querySelector("input");
  const given = Number(input.value);
  if (input.value !== "" && Number.isInteger(given) && given >= 0 && given <= MOST_SIMULATIONS) return given;
  input.value = otherwise;
  return otherwise;
}
