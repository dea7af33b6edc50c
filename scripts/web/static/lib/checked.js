// What a check of a game found: each law with its verdict, and what broke one on the board.

import { h, svgFrom, table } from "./dom.js";

const VERDICTS = { holds: "good", broken: "bad", "not tried": "warn" };

// Returns the elements that show what op `check` answers.
export function checkResult(found) {
  const { violations, notes, portrait, laws } = found;
  const ways = `${violations.length} ${violations.length === 1 ? "way" : "ways"}`;
  const verdict = violations.length ? `breaks the laws in ${ways}` : "keeps the laws";
  const untried = laws.filter((law) => law.verdict === "not tried").length;
  return [
    h("p", { class: "status", role: "status" },
      h("span", { class: violations.length ? "bad" : "good" }, `${found.game} ${verdict}`),
      untried ? `; ${untried} could not be tried` : "",
      h("span", { class: "quiet" }, ` (${found.games} random games, ${found.seconds.toFixed(1)} s)`)),
    violations.map(violationOf),
    notes.length > 0 && h("div", {}, h("h3", {}, "Worth a look"),
      h("ul", { class: "notes" }, notes.map((text) => h("li", { class: "told" }, text)))),
    portrait.length > 0 && h("div", {}, h("h3", {}, "Its random games"), portrait.map((text) => h("p", {}, text))),
    h("details", { open: !violations.length }, h("summary", {}, `The ${laws.length} laws`),
      table(["Law", "Verdict", "It says"], laws.map((law) =>
        [law.law, h("span", { class: VERDICTS[law.verdict] }, law.verdict), law.about]))),
  ];
}

function violationOf(violation) {
  return h("article", { class: "violation" },
    h("h3", {}, h("span", { class: "tag bad" }, "broken"), ` ${violation.law}`),
    h("dl", {},
      h("dt", {}, "Expected"), h("dd", { class: "told" }, violation.expected),
      h("dt", {}, "Found"), h("dd", { class: "told" }, violation.found),
      violation.action && [h("dt", {}, "Action"), h("dd", { class: "told" }, violation.action)]),
    violation.scenes.map(sceneOf),
    violation.position && h("details", { open: !violation.scenes.length },
      h("summary", {}, "As text"), h("pre", {}, violation.position)));
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
