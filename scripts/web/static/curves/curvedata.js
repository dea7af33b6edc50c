// The data of curves: where it lies on an axis, and numbers as they are read.

// Returns the x values of a run's columns, or evaluations, on an axis; null where it has none.
export function xOf(run, from, axis) {
  const columns = run.data[from] || {};
  if (axis !== "simulations") return columns[axis] || null;
  const each = run.data.simulations;
  return each && columns.positions ? columns.positions.map((value) => value * each) : null;
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
export function indexAt({ x: values, y, span }, x) {
  if (!values.length || (span && (x < span[0] || x > span[1]))) return -1;
  let at = nearest(values, x);
  while (at >= 0 && y[at] == null) at--;
  return at;
}

// Numbers as curves are read.
export function number(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return short(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size && size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
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
