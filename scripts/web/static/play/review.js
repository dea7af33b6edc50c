// What a player holds of every move of a game: asked part by part, and the mistakes found.

import { Asker, ask } from "../lib/api.js";

const OUTCOMES = ["a loss", "a draw", "a win"];
const KEPT_OUTCOMES = ["lost", "a draw", "won"];
const [MISTAKE_LOSS, BLUNDER_LOSS] = [0.2, 0.6]; // as selfplay/review.py has them

// How a mistake is defined, and how the list and the keys go through them.
export const MISTAKE_RULE = `A mistake gives away at least ${MISTAKE_LOSS.toFixed(2)} of the value (−1 to +1), a blunder ${BLUNDER_LOSS.toFixed(2)}. Where the result of perfect play is known (“exact”), a move that keeps it is no mistake. The worst come first.`;

export class Review {
  // onChange() after each part.
  constructor(page, onChange) {
    Object.assign(this, { onChange, done: 0, note: "" });
    this.asker = new Asker(page, (note) => { this.note = note; onChange(); });
  }

  get running() {
    return this.asker.asking !== null;
  }

  // Searches every position of a line of nodes; each gets its part as `review`.
  run(nodes, args) {
    this.done = 0;
    const onPart = (part) => {
      nodes[part.ply].review = part;
      this.done += 1;
      this.note = "";
      this.onChange();
    };
    const answer = this.asker.put((options) => ask("review", { ...args, moves: nodes.at(-1).moves }, { ...options, onPart }));
    this.onChange();
    return answer;
  }

  stop() {
    this.asker.stop();
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
