// What a player holds of every move of a game: asked part by part, and the mistakes found.

import { ask } from "./api.js";

const OUTCOMES = ["a loss", "a draw", "a win"];

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
  return line.filter((node, k) => {
    const { review } = node;
    return review?.mistake && line[k + 1]?.action === review.played;
  });
}

// Returns how much a mistake gave away, to compare them: of 2 from a win to a loss.
export function lossOf({ exact, regret }) {
  return exact ? exact.best - exact.played : Math.abs(regret ?? 0);
}

// Returns the same in words.
export function lossText(review) {
  const { exact } = review;
  if (!exact) return `gives away ${lossOf(review).toFixed(2)}`;
  return `turns ${OUTCOMES[exact.best + 1]} into ${OUTCOMES[exact.played + 1]}, for certain`;
}
