// The data of curves: where it lies on an axis, what came since, and numbers as they are read.

// Returns the x values of a run's columns, or evaluations, on an axis; null where it has none.
export function xOf(run, from, axis) {
  const columns = run.data[from] || {};
  if (axis !== "simulations") return columns[axis] || null;
  const each = run.data.simulations;
  return each && columns.positions ? columns.positions.map((value) => value * each) : null;
}

// Where a run begins and ends on the axis; nothing if it has not begun.
export function spanOf(board, run) {
  const ends = ["columns", "evaluations"].flatMap((from) => {
    const x = xOf(run, from, board.axis);
    return x?.length ? [x[0], x.at(-1)] : [];
  });
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : [];
}

// Adds what came since (as /api/metrics gives) to a run's data. Returns false where that cannot be:
// it has to be read anew.
export function appendTo(data, came) {
  if (came.restart) return false;
  const last = data.columns.iteration?.at(-1);
  const next = came.columns.iteration?.[0];
  if (last != null && next != null && next <= last) return false;
  for (const part of ["columns", "evaluations"]) {
    if (!Object.keys(came[part]).length) continue;
    data[part] ||= {};
    const before = Math.max(0, ...Object.values(data[part]).map((column) => column.length));
    const more = Math.max(0, ...Object.values(came[part]).map((column) => column.length));
    for (const name of new Set([...Object.keys(data[part]), ...Object.keys(came[part])])) {
      const column = data[part][name] ||= new Array(before).fill(null);
      column.push(...(came[part][name] || new Array(more).fill(null)));
    }
  }
  data.events.push(...came.events);
  data.damaged.push(...came.damaged);
  data.offset = came.offset;
  data.non_finite = came.non_finite;
  return true;
}

// Returns names of runs without the folders that all of them lie in.
export function shortNames(names) {
  const parts = names.map((name) => name.split("/"));
  let shared = 0;
  while (names.length > 1 && parts.every((one) => shared < one.length - 1 && one[shared] === parts[0][shared])) shared++;
  return parts.map((one) => one.slice(shared).join("/"));
}

// Returns means over the last `share` of a curve's points, at each of them; null stays null.
export function smoothed(values, share) {
  const width = Math.floor(values.length * share);
  if (width < 2) return values;
  let sum = 0, known = 0;
  return values.map((value, i) => {
    if (value != null) { sum += value; known++; }
    const old = i >= width ? values[i - width] : null;
    if (old != null) { sum -= old; known--; }
    return value == null || !known ? null : sum / known;
  });
}

// Returns the index of the value next to x in rising values.
export function nearest(values, x) {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - values[low - 1] < values[low] - x ? low - 1 : low;
}

// Returns the index of what a curve says at x; -1 where its run has ended, or not begun. A row that
// says nothing, as the newest one may, leaves what the last before it said.
export function indexAt({ x: values, span }, x, y) {
  if (!values?.length || (span && (x < span[0] || x > span[1]))) return -1;
  let at = nearest(values, x);
  while (y && at >= 0 && y[at] == null) at--;
  return at;
}

export function sorted(one) {
  const order = one.x.map((_, i) => i).sort((a, b) => one.x[a] - one.x[b]);
  const by = (column) => column && order.map((i) => column[i]);
  return { x: by(one.x), y: by(one.values), low: by(one.low), high: by(one.high) };
}

export function labelOf(key) {
  const named = { kl: "kl", gained: "Elo gained", "gap/own": "own", "gap/fresh": "fresh", "gap/probe": "probe" };
  return named[key] || key.replace(/^loss_/, "").replace(/\//g, ", ").replace(/_/g, " ");
}

// Numbers as curves are read.
export function number(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toPrecision(4)} G`;
  if (size >= 1e6) return `${(value / 1e6).toPrecision(4)} M`;
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size && size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

export function inPercent(value) {
  return value == null ? "–" : `${(100 * value).toFixed(1)}%`;
}

// Numbers as axes show them.
export function short(value) {
  if (value == null) return "";
  const size = Math.abs(value);
  for (const [unit, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * (unit === 1e3 ? 10 : 1)) return `${Number((value / unit).toPrecision(3))}${sign}`;
  }
  return String(Number(value.toPrecision(3)));
}
