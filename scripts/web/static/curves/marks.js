// What happened in runs: marks on the plots, in a sentence at the cursor, and as a list.

import { clear, h, table } from "../lib/dom.js";
import { styled } from "./chart.js";
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

// Returns the events of runs with where they are on the axis, the newest first.
function eventsOf(runs, axis) {
  return runs.flatMap((run) => {
    const minutes = run.data.columns.minutes || [], x = xOf(run, "columns", axis);
    if (!x?.length) return [];
    return run.data.events.map((event) => ({
      ...event, run: run.label, x: axis === "minutes" ? event.minutes : x[nearest(minutes, event.minutes)],
      mark: MARKS[event.kind === "gate" && !event.promoted ? "kept" : event.kind],
    })).filter(({ mark }) => mark);
  }).sort((a, b) => b.minutes - a.minutes);
}

export function drawEvents({ ctx, bbox, scales, valToPos }, runs, axis) {
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  let labelled = Infinity;
  for (const { x, mark: [letter, variable] } of eventsOf(runs, axis)) {
    if (x < scales.x.min || x > scales.x.max) continue;
    const left = valToPos(x, "x", true);
    ctx.strokeStyle = ctx.fillStyle = styled(variable);
    ctx.fillRect(left, bbox.top, ratio, 8 * ratio);
    if (labelled - left < 12 * ratio) continue;
    labelled = left;
    ctx.fillText(letter, left, bbox.top - 2 * ratio);
  }
  ctx.restore();
}

// Returns what happened next to x, in sentences.
export function eventsNear(runs, axis, x, { min, max }) {
  const near = eventsOf(runs, axis).filter((event) => Math.abs(event.x - x) <= (max - min) / 100);
  return near.slice(0, 3).map(({ text, mark }) => [h("b", {}, mark[0]), ` ${text}. `]);
}

export function eventsTable(root, runs, axis) {
  const all = eventsOf(runs, axis);
  const open = root.querySelector("details")?.open;
  clear(root,
    h("p", { class: "quiet" },
      Object.values(MARKS).filter((mark) => all.some((event) => event.mark === mark)).map(([letter, , meaning]) => [h("b", {}, letter), ` ${meaning} · `]),
      "drag to zoom, double-click to see all"),
    all.length > 0 && h("details", { open }, h("summary", {}, `What happened (${all.length})`),
      table(["minutes", "step", "", "run"], all.slice(0, 200).map(({ minutes, step, text, run }) => [number(minutes), number(step), text, run]))));
}
