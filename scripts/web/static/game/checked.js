// What a check of a game found: each law with its verdict, and what broke one on the board.

import { coded, h, svgFrom, table } from "../lib/dom.js";

const VERDICTS = { holds: "good", broken: "bad", "not tried": "warn" };

// Returns the elements that show what op `check` answers.
export function checkResult(found) {
  const { violations, notes, portrait, laws } = found;
  const ways = `${violations.length} ${violations.length === 1 ? "way" : "ways"}`;
  const odd = `${notes.length} ${notes.length === 1 ? "thing is" : "things are"} worth a look`;
  const verdict = violations.length ? `breaks the laws in ${ways}` : notes.length ? `keeps the laws; ${odd}` : "keeps the laws";
  const kind = violations.length ? "bad" : notes.length ? "warn" : "good";
  const untried = laws.filter((law) => law.verdict === "not tried").length;
  return [
    h("p", { class: "status", role: "status" },
      h("span", { class: kind }, `${found.game} ${verdict}`),
      untried ? `; ${untried} could not be tried` : "",
      h("span", { class: "quiet" }, ` (${found.games} random games, ${found.seconds.toFixed(1)} s)`)),
    violations.map(violationOf),
    notes.map(noteOf),
    portrait.length > 0 && h("div", {}, h("h3", {}, "Its random games"), portrait.map((text) => h("p", {}, coded(text)))),
    h("details", { open: !violations.length }, h("summary", {}, `The ${laws.length} laws`),
      table(["Law", "Verdict", "It says"], laws.map((law) =>
        [law.law, h("span", { class: VERDICTS[law.verdict] }, law.verdict), coded(law.about)]))),
  ];
}

function violationOf(violation) {
  return h("article", { class: "violation" },
    h("h3", {}, h("span", { class: "tag bad" }, "broken"), ` ${violation.law}`),
    h("dl", {},
      h("dt", {}, "Expected"), h("dd", { class: "told" }, coded(violation.expected)),
      h("dt", {}, "Found"), h("dd", { class: "told" }, coded(violation.found)),
      violation.action && [h("dt", {}, "Action"), h("dd", { class: "told" }, violation.action)]),
    casesOf(violation));
}

// What is no fault by itself: a sentence, and where it was seen.
function noteOf(note) {
  return h("article", { class: "violation" },
    h("h3", {}, h("span", { class: "tag warn" }, "worth a look")),
    h("p", { class: "told" }, coded(note.text)),
    casesOf(note));
}

// The positions of a finding: on boards where it has them, and as text.
function casesOf({ scenes, position }) {
  return [
    scenes.map(sceneOf),
    position && h("details", { open: !scenes.length }, h("summary", {}, "As text"), h("pre", {}, position)),
  ];
}

function sceneOf({ about, action, name, before, after }) {
  const move = name || `action ${action}`;
  const drawn = (picture, caption) => h("figure", { class: "scene" }, pictureOf(picture, caption), h("figcaption", {}, caption));
  const first = action == null ? "the position" : after ? `before ${move}` : `the position, and ${move}`;
  return h("div", {},
    about && h("p", { class: "quiet" }, about),
    h("div", { class: "scenes" }, drawn(before, first), after && drawn(after, `after ${move}`)));
}

// A board, or the fields of a position that has none.
function pictureOf({ svg, text }, label) {
  if (!svg) return h("pre", { class: "told" }, text);
  const picture = svgFrom(svg);
  picture.setAttribute("aria-label", label);
  return picture;
}
