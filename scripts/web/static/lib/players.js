// The choice of a player and of a game: from lists, or typed as on the command line.
//
//   const choice = new PlayerChoice("Opponent", { runs, shipped, game, none, onchange, signal });
//   parent.append(choice.element);
//   choice.value;          the player's text as `selfplay arena` takes it, "" for none
//   choice.set(text);      from outside; onchange is not called
//   choice.setGame(spec);  runs of another game leave the list
//
// `runs` and `shipped` are those of GET /api/runs. `none` is the text of the choice of nobody; without it there is none.

import { get } from "./api.js";
import { clear, h } from "./dom.js";

const NAMED = [
  ["uniform", "uniform · no network"],
  ["random", "random"],
  ["perfect", "perfect · solved games"],
];
const TYPED = "\0typed"; // no player's text

export class PlayerChoice {
  constructor(label, { runs, shipped = [], game = "", none = "", value = "", onchange, signal }) {
    Object.assign(this, { runs, shipped, game, none, signal, onchange: onchange || (() => {}) });
    this.select = h("select", { "aria-label": label, onchange: () => this.picked() });
    this.step = h("select", { "aria-label": `${label}: step of training`, hidden: true, onchange: () => this.onchange() });
    this.typed = h("input", { "aria-label": `${label}, typed`, hidden: true, spellcheck: "false", size: 18,
      placeholder: "R@STEP:simulations=64", onchange: () => this.onchange() });
    this.element = h("label", { class: "field player-choice" }, h("span", {}, label),
      h("span", { class: "player-parts" }, this.select, this.step, this.typed));
    this.set(value);
  }

  get value() {
    if (this.select.value === TYPED) return this.typed.value.trim();
    return this.step.hidden || !this.step.value ? this.select.value : `${this.select.value}@${this.step.value}`;
  }

  set(text) {
    this.fill();
    const { run, step, settings } = splitPlayer(text);
    const listed = [...this.select.options].some((option) => option.value === run && run !== TYPED);
    const plain = listed && !settings && (step === "" || this.isRun(run));
    this.select.value = plain ? run : TYPED;
    this.typed.value = plain ? "" : text;
    this.turn(plain ? step : "");
  }

  setGame(game) {
    const kept = this.value;
    this.game = game;
    this.set(kept);
  }

  isRun(name) {
    return this.runs.some((run) => run.name === name);
  }

  picked() {
    this.turn("");
    if (this.select.value !== TYPED) this.onchange();
    else this.typed.focus();
  }

  fill() {
    const [playing, shipped] = [this.runs, this.shipped].map((all) => all.filter((one) => !one.game || !this.game || one.game === this.game));
    const option = (value, text) => h("option", { value }, text);
    clear(this.select,
      this.none && option("", this.none),
      playing.length > 0 && h("optgroup", { label: "Runs" }, playing.map((run) => option(run.name, aboutRun(run)))),
      shipped.length > 0 && h("optgroup", { label: "Come with selfplay" }, shipped.map(({ name }) => option(name, name))),
      h("optgroup", { label: "Without training" }, NAMED.map(([value, text]) => option(value, text))),
      option(TYPED, "typed …"));
  }

  // Shows what belongs to the choice: a run's steps, or the field to type in.
  turn(step) {
    const name = this.select.value;
    this.typed.hidden = name !== TYPED;
    this.step.hidden = !this.isRun(name);
    if (this.step.hidden) return;
    clear(this.step, h("option", { value: "" }, "newest"), step && h("option", { value: step }, `step ${step}`));
    this.step.value = step;
    checkpointsOf(name, this.signal).then(({ steps }) => {
      if (this.select.value !== name) return;
      const others = steps.slice().reverse().map((one) => h("option", { value: one }, `step ${one}`));
      clear(this.step, h("option", { value: "" }, "newest"), others);
      this.step.value = step;
    }).catch(() => {}); // the newest remains: who plays against it is told what is wrong
  }
}

// The choice of a game: a name with its options, or typed.
export class GameChoice {
  constructor({ games, value, onchange }) {
    Object.assign(this, { games, onchange });
    this.select = h("select", { "aria-label": "Game", onchange: () => this.picked() }, [
      ...games.map(({ name, about }) => h("option", { value: name, title: about || "" }, name)),
      h("option", { value: TYPED }, "typed …"),
    ]);
    this.options = h("input", { "aria-label": "Options of the game", size: 14, spellcheck: "false", onchange: () => this.onchange() });
    this.element = h("label", { class: "field" }, h("span", {}, "Game"), h("span", { class: "player-parts" }, this.select, this.options));
    this.set(value);
  }

  get value() {
    const text = this.options.value.trim();
    if (this.select.value === TYPED) return text;
    return text ? `${this.select.value}:${text}` : this.select.value;
  }

  set(spec) {
    const { target, options } = splitGame(spec);
    const known = this.games.some(({ name }) => name === target);
    this.select.value = known ? target : TYPED;
    this.options.value = known ? options : spec;
    this.turn();
  }

  picked() {
    this.options.value = "";
    this.turn();
    if (this.select.value === TYPED) this.options.focus();
    else this.onchange();
  }

  turn() {
    const listed = this.games.find(({ name }) => name === this.select.value);
    const examples = Object.entries(listed?.options || {}).map(([name, value]) => `${name}=${value}`);
    this.options.placeholder = listed ? examples.join(",") : "module:Class or pgx:NAME";
    this.options.hidden = Boolean(listed?.options) && !examples.length;
  }
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

// Returns a game's spec in parts.
export function splitGame(spec) {
  const colon = spec.lastIndexOf(":");
  const hasOptions = colon > 0 && spec.slice(colon).includes("=");
  return { target: hasOptions ? spec.slice(0, colon) : spec, options: hasOptions ? spec.slice(colon + 1) : "" };
}

// Returns a player's name for people: the end of a run's path, and its step.
export function playerName(text) {
  const { run, step } = splitPlayer(text);
  const name = run.split("/").filter(Boolean).pop() || text;
  return step ? `${name}@${step}` : name;
}

// Returns {game, steps} of a run.
export function checkpointsOf(run, signal) {
  return get("checkpoints", { run }, signal);
}

// Returns a player's text with the run as this page knows it: others may have named it from another folder. It is
// null where this page has no such run.
export function playerHere(text, runs, game) {
  const { run } = splitPlayer(text);
  if (isShipped(run) || NAMED.some(([name]) => name === run)) return text;
  const found = runs.filter((one) => one.game === game && (one.name === run || one.name.endsWith(`/${run}`) || run.endsWith(`/${one.name}`)));
  return found.length === 1 ? text.replace(run, found[0].name) : null;
}

// What plays is the newest checkpoint; training may have come further.
function aboutRun({ name, game, step, saved = step }) {
  return [name, game, saved ? `step ${saved}` : ""].filter(Boolean).join(" · ");
}
