// What a player holds of every move of a game: asked part by part, and the mistakes found.

import { ask } from "../lib/api.js";

const OUTCOMES = ["a loss", "a draw", "a win"];
const KEPT_OUTCOMES = ["lost", "a draw", "won"];
const [MISTAKE_LOSS, BLUNDER_LOSS] = [0.2, 0.6]; // as selfplay/review.py has them

// How a mistake is defined, and how the list and the keys go through them.
export const MISTAKE_RULE = `A mistake gives away at least ${MISTAKE_LOSS.toFixed(2)} of the value (−1 to +1), a blunder ${BLUNDER_LOSS.toFixed(2)}. Where the result of perfect play is known (“exact”) it alone decides: a move that keeps the result is no mistake, a win turned into a loss is a blunder. The list begins with the worst; Next and Previous follow the order of play.`;

export class Review {
  // onChange() after each part.
  constructor(onChange) {
    this.onChange = onChange;
    this.forget();
  }

  forget() {
    this.controller?.abort();
    this.controller = null;
    this.nodes = [];
    this.done = 0;
    this.note = "";
  }

  get running() {
    return this.controller !== null;
  }

  // Searches every position of a line of nodes; each gets its part as `review`.
  async run(nodes, args, signal) {
    this.forget();
    this.nodes = nodes;
    const controller = this.controller = new AbortController();
    signal.addEventListener("abort", () => controller.abort(), { once: true });
    const moves = nodes.slice(1).map((node) => node.action);
    this.onChange();
    try {
      await ask("review", { ...args, moves }, {
        signal: controller.signal,
        onNote: (note) => { this.note = note; this.onChange(); },
        onPart: (part) => this.take(part),
      });
    } finally {
      if (this.controller === controller) {
        this.controller = null;
        this.note = "";
        this.onChange();
      }
    }
  }

  stop() {
    this.controller?.abort();
  }

  take(part) {
    const node = this.nodes[part.ply];
    if (!node) return;
    node.review = part;
    this.done += 1;
    this.note = "";
    this.onChange();
  }
}

// Returns the positions of a line in which a mistake was made, in the order of play.
export function mistakesOf(line) {
  return judged(line, "mistake");
}

// Returns those in which the search sees a mistake, and perfect play none.
export function excusedOf(line) {
  return judged(line, "excused");
}

function judged(line, key) {
  return line.filter(({ review }, k) => review?.[key] && line[k + 1]?.action === review.played);
}

// Returns how much a mistake gave away, to compare them: of 2 from a win to a loss.
export function lossOf({ exact, regret }) {
  return exact ? exact.best - exact.played : Math.abs(regret ?? 0);
}

// Returns the same in words.
export function lossText(review) {
  const { exact } = review;
  if (!exact) return `gives away ${lossOf(review).toFixed(2)}`;
  return `turns ${OUTCOMES[exact.best + 1]} into ${OUTCOMES[exact.played + 1]} (exact)`;
}

// Returns why what looks like a mistake is none.
export function excuseText({ exact, regret }) {
  return `the search counts a loss of ${regret.toFixed(2)}; exact: still ${KEPT_OUTCOMES[exact.played + 1]}`;
}
