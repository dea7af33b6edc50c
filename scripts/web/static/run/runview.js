// What a run is, in words and tables.

import { plotCard } from "../curves/chart.js";
import { number, short } from "../curves/curvedata.js";
import { coded, count, h, table } from "../lib/dom.js";

const JUDGED = { healthy: ["ok", "verdict-healthy"], finding: ["finding", "verdict-finding"], "too early": ["too early", "verdict-early"] };

// The first lines of a run: game, preset, steps, games, time, device, state.
export function facts(run) {
  const rows = [
    ["game", run.game || "?"],
    ["preset", run.preset],
    ["state", run.state + (run.host && run.state === "running" ? `, ${run.host}` : "")],
    ["training steps", count(run.step)],
    ["games", count(run.games)],
    ["positions", count(run.positions)],
    ["time", duration(run.minutes)],
    ["limit", endInWords(run)],
    ["device", (run.devices || []).join("; ") || "not noted"],
    ["simulations a move", run.simulations],
    ["doctor", verdictOf(run)],
  ];
  if (run.source) rows.push(["began from", run.source]);
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value != null && value !== "").map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function duration(minutes) {
  if (minutes == null) return "";
  return minutes < 120 ? `${number(minutes)} min` : `${number(minutes / 60)} h`;
}

// What ends a run, how much of that is left, and whether it goes on.
export function endInWords({ limits, state }) {
  if (state === "damaged") return "";
  const ended = state === "limit reached" || state === "done";
  const told = limits.map(({ name, limit, done, left }) => {
    const part = name === "flops" ? `${short(done)} of ${short(limit)} operations` : name === "minutes" ? `${done.toFixed(1)} of ${number(limit)} min` : `${number(done)} of ${number(limit)} ${name}`;
    return ended || left == null ? part : `${part}, about ${clock(left)} left`;
  });
  const far = told.join("; whichever comes first: ") || (ended ? "" : "no limit is set");
  if (state === "running") return `${far}; it goes on`;
  if (state === "stopped") return `${far}. Stopped: run the same command again to resume from the last checkpoint`;
  return ended ? [far, "it has ended"].filter(Boolean).join("; ") : far;
}

// Seconds as 3:20, or as 1:03:20.
function clock(seconds) {
  const whole = Math.round(seconds), two = (part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// The doctor's verdict in a line, with its age.
export function verdictOf(run) {
  const said = run.verdict;
  if (!said) return h("span", { class: "quiet" }, "not asked yet");
  const kind = said.healthy === true ? "verdict-healthy" : said.healthy === false ? "verdict-finding" : "verdict-early";
  const at = said.step == null || said.step === run.step ? "" : ` (at step ${count(said.step)})`;
  return h("span", { class: kind }, said.sentence + at);
}

// What a diagnosis comes to, as training/report/verdict.py says it of one that was kept.
export function sentenceOf(found) {
  const [first, ...others] = found.findings;
  if (first) return first.fault + (others.length ? ` and ${others.length} more` : "");
  return found.too_early.length ? `no finding; too early to judge: ${found.too_early.join(", ")}` : "healthy: no finding";
}

// The last evaluation: figures and sentences.
export function evaluationOf(run) {
  const last = run.evaluation;
  if (!last) return h("p", { class: "quiet" }, "No evaluation yet.");
  return h("div", {},
    h("p", { class: "quiet" }, `Last evaluation, step ${count(last.step)}:`),
    h("dl", { class: "facts" }, Object.entries(last.figures).map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    last.sentences.map((sentence) => h("p", {}, sentence)));
}

// The settings in which a run is not its preset.
export function differing(run) {
  if (!run.differs.length) return h("p", { class: "quiet" }, `All settings are those of the preset ${run.preset}.`);
  return table(["setting", "this run", `preset ${run.preset}`],
    run.differs.map((one) => [one.name, String(one.value), String(one.preset)]), { class: "settings" });
}

// All settings of a run.
export function settings(run) {
  return h("details", {}, h("summary", {}, "All settings"),
    table(["setting", "value"], Object.entries(run.settings).map(([name, value]) => [name, String(value)]), { class: "settings" }));
}

// The settings that differ between runs, folded: there may be many.
export function differences(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const rows = names.map((name) => [name, ...runs.map((run) => String(run.settings[name] ?? "–"))])
    .filter(([, first, ...others]) => others.some((value) => value !== first));
  if (!rows.length) return h("p", { class: "quiet" }, "These runs have the same settings.");
  return h("details", {}, h("summary", {}, `Settings that differ between the runs (${rows.length})`),
    table(["setting", ...runs.map((run) => run.label || run.run)], rows, { class: "settings" }));
}

// The doctor's checks, each with its figure, and what to change.
export function diagnosis(run) {
  const said = run.verdict;
  if (!said?.checks) return h("p", { class: "quiet" }, "No diagnosis yet: ", h("code", {}, "selfplay doctor"), " makes one.");
  const rows = said.checks.map((check) => {
    const [word, kind] = JUDGED[check.verdict] || [check.verdict, ""];
    const unjudged = check.unjudged && check.unjudged !== check.summary ? ` (${check.unjudged})` : "";
    return h("tr", { title: `healthy: ${check.healthy}` }, h("td", {}, check.check), h("td", { class: kind }, word), h("td", {}, coded(check.summary + unjudged)));
  });
  return h("div", {},
    h("p", {}, "As of step ", count(said.step), ": ", verdictOf({ ...run, step: said.step })),
    said.isOfPage && h("p", { class: "quiet" }, "This answer is not stored: ", h("code", {}, `selfplay doctor ${run.run}`), " stores one."),
    said.findings.map((finding) => h("div", { class: "card" },
      h("p", {}, h("b", { class: "verdict-finding" }, finding.fault), ": ", coded(finding.sentence)),
      h("p", {}, "Change: ", coded(finding.change)))),
    table(["check", "", "what was measured"], rows));
}

// Sentences about what is damaged.
export function problems(run, data) {
  const told = [...run.problems, ...(data?.damaged || [])];
  for (const [name, times] of Object.entries(data?.non_finite || {})) {
    told.push(`${name} was NaN or infinite in ${times} iteration${times === 1 ? "" : "s"}: gaps in its curve`);
  }
  const unique = [...new Set(told)];
  return unique.length ? h("div", { class: "error", role: "status" }, unique.slice(0, 20).map((text) => h("p", {}, text))) : null;
}

// Workers, as the run's last line about them says.
export function workersOf(run) {
  if (!run.workers.length) return null;
  return h("section", { class: "card" }, h("h2", {}, "Workers"),
    table(["worker", "host", "device", "examples a second", "silent for"], run.workers.map((one) =>
      [String(one.worker), one.host, one.device, number(one.rate), `${number(one.silent)} s`])));
}

// Plots by ply and value, and tables, as training/report/measured.py gives them.
export function measured(found) {
  return h("div", {},
    found.problems.map((text) => h("p", { class: "error" }, text)),
    h("div", { class: "plots" }, found.plots.map((plot) => plotCard(plot))),
    found.tables.map((one) => h("div", {}, h("h3", {}, one.title), table(one.head, one.rows))));
}
