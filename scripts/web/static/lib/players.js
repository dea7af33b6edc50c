// The choice of a player and of a game: typed as on the command line, or one of the suggestions.
//
//   const choice = new PlayerChoice("Opponent", { runs, shipped, game, none, value, onchange, signal });
//   parent.append(choice.element);
//   choice.value;          the player's text as `selfplay arena` takes it, "" for none
//   choice.set(text);      from outside; onchange is not called
//   choice.setGame(spec);  suggestions are those that play this game
//
// `runs` and `shipped` are those of GET /api/runs. All games are texts that the server wrote: equal games, equal texts. `none` says what it means to choose nobody; without it there is none.

import { checkpointsOf, get } from "./api.js";
import { clear, h } from "./dom.js";

const NAMED = [["uniform", "no network"], ["random", "random moves"], ["perfect", "solved games"]];
const NOBODY = "nobody"; // no player's name
let lists = 0;

// A field with suggestions, all of which are listed when one enters it.
class Suggesting {
  constructor(label, value, onchange, attributes) {
    this.list = h("datalist", { id: `suggestions-${lists++}` });
    const enter = () => {
      this.input.placeholder = this.input.value;
      this.input.value = "";
    };
    const leave = () => { this.input.value ||= this.input.placeholder; };
    this.input = h("input", { "aria-label": label, list: this.list.id, spellcheck: "false", autocomplete: "off", value,
      onfocus: enter, onblur: leave, onchange: () => { if (this.input.value) onchange(); }, ...attributes });
    this.element = h("label", { class: "field" }, h("span", {}, label), this.input, this.list);
  }

  suggest(pairs) {
    clear(this.list, pairs.map(([value, about]) => h("option", { value }, about)));
  }

  get text() {
    return (this.input.value || this.input.placeholder).trim();
  }
}

export class PlayerChoice extends Suggesting {
  constructor(label, { runs, shipped, game, none = "", value, onchange = () => {}, signal }) {
    super(label, value || NOBODY, () => { this.fill(); onchange(); }, { size: 22 });
    Object.assign(this, { runs, shipped, game, none, signal });
    this.fill();
  }

  get value() {
    return this.text === NOBODY ? "" : this.text;
  }

  set(text) {
    this.input.value = text || NOBODY;
    this.fill();
  }

  setGame(game) {
    this.game = game;
    this.fill();
  }

  isRun(name) {
    return this.runs.some((run) => run.name === name);
  }

  // Suggests who plays the game; of a run that is chosen, its checkpoints first.
  async fill() {
    const { run } = splitPlayer(this.value);
    const trained = [...this.runs, ...this.shipped].filter((one) => !one.game || baseOf(one.game) === baseOf(this.game))
      .map(({ name, game, step }) => [name, step == null ? game : `${game}, step ${step}`]);
    const usual = [...(this.none ? [[NOBODY, this.none]] : []), ...trained, ...NAMED];
    this.suggest(usual);
    if (!this.isRun(run)) return;
    const { steps } = await checkpointsOf(run, this.signal).catch(() => ({ steps: [] }));
    if (splitPlayer(this.value).run === run) this.suggest([...steps.reverse().map((step) => [`${run}@${step}`, `step ${step}`]), ...usual]);
  }
}

// The choice of a game, with its options as on the command line; onchange is called when its text is as the server
// writes it.
export class GameChoice extends Suggesting {
  constructor({ games, value, onchange, signal }) {
    super("Game", value, async () => {
      const { game } = await get("catalogue", { game: this.text }, signal).catch(() => ({ game: this.text }));
      if (signal.aborted) return;
      this.input.value = game;
      onchange();
    }, { size: 18 });
    this.suggest(games.map(({ name, about, options }) =>
      [name, [about, ...Object.entries(options || {}).map((pair) => pair.join("="))].filter(Boolean).join(", ")]));
  }

  get value() {
    return this.text;
  }

  set(spec) {
    this.input.value = spec;
  }
}

// Returns the newest run that has learned a game, else the player that comes with the package; "" without either.
export function trainedFor(runs, shipped, game) {
  return (runs.find((run) => run.game === game && run.step !== null) || shipped.find((one) => one.game === game))?.name || "";
}

// Returns a game's name without its options.
export function baseOf(spec) {
  return spec.split(/:[^:]*=/)[0];
}

// Returns a player's text in parts: {run, step, settings}; run is its word if it is no run.
export function splitPlayer(text) {
  const colon = text.lastIndexOf(":");
  const hasSettings = colon > 0 && text.slice(colon).includes("=") && !/^(gtp|uci):/.test(text);
  const bare = hasSettings ? text.slice(0, colon) : text;
  const [, run, step] = /^(.*?)(?:@(\d+))?$/s.exec(bare);
  return { run, step: step || "", settings: hasSettings ? text.slice(colon + 1) : "" };
}

// Whether a player is one that comes with the package.
export function isShipped(name) {
  return name.startsWith("shipped:");
}

// Returns a player's name for people: the end of a run's path, and its step.
export function playerName(text) {
  const { run, step } = splitPlayer(text);
  const name = run.split("/").filter(Boolean).pop() || text;
  return step ? `${name}@${step}` : name;
}

// Returns a player's text with the run as this page knows it: others may have named it from another folder. It is
// null where this page has no such run.
export function playerHere(text, runs, game) {
  const { run } = splitPlayer(text);
  if (isShipped(run) || NAMED.some(([name]) => name === run)) return text;
  const found = runs.filter((one) => one.game === game && (one.name === run || one.name.endsWith(`/${run}`) || run.endsWith(`/${one.name}`)));
  return found.length === 1 ? text.replace(run, found[0].name) : null;
}
