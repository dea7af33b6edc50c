// What happened in runs: marks on the plots, beside the cursor, and as a list.

import { clear, h, table } from "../lib/dom.js";
import { colourOf, styled } from "./chart.js";
import { nearest, number, xOf } from "./curvedata.js";

// Marks of events: a letter, a variable of the style, and what they mean.
const MARKS = {
  resume: ["R", "--quiet", "went on"],
  rollback: ["N", "--bad", "back after NaN"],
  gate: ["G", "--good", "gate: new weights play"],
  kept: ["g", "--warn", "gate: old weights stay"],
  verdict: ["F", "--accent", "fixed point"],
  decisions: ["D", "--seat1", "an overseer's decisions"],
};
const FULL_MARKS = 40; // more events than this get ticks instead of lines

// Returns the events of a run with where they are on the axis.
function eventsOf(board, run) {
  const minutes = run.data.columns.minutes || [], x = xOf(run, "columns", board.axis);
  if (!x?.length) return [];
  return run.data.events.map((event) => ({
    ...event, x: board.axis === "minutes" ? event.minutes : x[nearest(minutes, event.minutes)],
    mark: event.kind === "gate" && !event.promoted ? "kept" : event.kind,
  })).filter((event) => MARKS[event.mark]);
}

export function drawEvents(board, u) {
  if (!board.marks) return;
  const { ctx, bbox } = u, ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  board.runs.forEach((run, r) => {
    const shown = eventsOf(board, run).filter((event) => event.x >= u.scales.x.min && event.x <= u.scales.x.max);
    const many = shown.length > FULL_MARKS;
    let labelled = -Infinity;
    for (const event of shown) {
      const [letter, variable] = MARKS[event.mark];
      const left = u.valToPos(event.x, "x", true);
      ctx.strokeStyle = ctx.fillStyle = styled(board.root, variable);
      ctx.lineWidth = ratio;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + (many || event.kind === "gate" ? 8 * ratio : bbox.height));
      ctx.stroke();
      if (left - labelled < 12 * ratio) continue;
      labelled = left;
      ctx.fillText(letter, left, bbox.top - (2 + 11 * r) * ratio);
    }
    // Evaluations: ticks at the foot.
    ctx.setLineDash([]);
    ctx.strokeStyle = board.runs.length > 1 ? colourOf(board.root, r) : styled(board.root, "--quiet");
    ctx.beginPath();
    for (const x of xOf(run, "evaluations", board.axis) || []) {
      if (x < u.scales.x.min || x > u.scales.x.max) continue;
      const left = u.valToPos(x, "x", true), foot = bbox.top + bbox.height - 5 * r * ratio;
      ctx.moveTo(left, foot);
      ctx.lineTo(left, foot - 4 * ratio);
    }
    ctx.stroke();
  });
  ctx.restore();
}

export function tellEvents(board) {
  const reach = (board.range[1] - board.range[0]) / 100;
  const near = board.runs.flatMap((run) => eventsOf(board, run)
    .filter((event) => Math.abs(event.x - board.at) <= reach)
    .map((event) => h("p", {}, h("b", {}, MARKS[event.mark][0]), " ", event.text)));
  clear(board.near, near.slice(0, 6));
}

export function eventsTable(board) {
  const all = board.runs.flatMap((run) => eventsOf(board, run).map((event) => [run, event]));
  all.sort(([, a], [, b]) => b.minutes - a.minutes);
  const used = Object.entries(MARKS).filter(([mark]) => all.some(([, event]) => event.mark === mark));
  const open = board.events.querySelector("details")?.open || false;
  clear(board.events, h("p", { class: "quiet" },
    used.map(([, [letter, , meaning]]) => [h("b", {}, letter), ` ${meaning} · `]), "ticks at the foot: evaluations",
    " · drag to zoom, double-click to see all"),
  all.length ? h("details", { open }, h("summary", {}, `What happened (${all.length})`),
    table(["minutes", "step", "", ...(board.runs.length > 1 ? ["run"] : [])], all.slice(0, 200).map(([run, event]) =>
      [number(event.minutes), number(event.step), event.text, ...(board.runs.length > 1 ? [run.label] : [])]))) : null);
}
