// The charts of a report, drawn by Observable Plot from the descriptions that the page carries (src/evaluation/page.h
// says what they hold). Colours are the page's own variables, so that light, dark and print need nothing here.
import * as Plot from "@observablehq/plot";

const colours = { head: "var(--head)", baseline: "var(--base)", oracle: "var(--oracle)", bad: "var(--bad)" };
const lineColours = ["var(--head)", "var(--base)", "var(--oracle)", "var(--bad)"];
const narrow = 560; // CSS pixels: below, a row's name stands above its interval

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(2);
const number = (value) => (Math.abs(value) >= 10000 ? `${+(value / 1000).toPrecision(3)}k` : `${+value.toPrecision(4)}`);
const valueFormat = { share: percent, points: (value) => (value > 0 ? "+" : "") + (100 * value).toFixed(1), number: signed };
const tickFormat = {
  share: (value) => `${Math.round(1000 * value) / 10} %`,
  points: (value) => signed(100 * value).replace(/\.?0+$/, ""),
  number: (value) => `${+value.toFixed(2)}`,
};

/** Whole ticks around the rows' intervals; shares are shown from 0 to 1 where the chart says so. */
function domain({ rows, rule, domain: given }) {
  if (given) return given;
  const values = rows.flatMap((row) => [row.value, row.low ?? row.value, row.high ?? row.value]);
  if (rule !== undefined) values.push(rule);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}

/** Dots with 95 % intervals, one row each: {rows: [{label, note, kind, value, low, high}], unit, rule, rule_label}. */
export function intervals(chart, width, document) {
  const small = width < narrow;
  const rows = chart.rows.map((row, index) => ({ ...row, index, note: row.note ?? "" }));
  const format = valueFormat[chart.unit];
  const said = (row) => format(row.value);
  const interval = (row) => (row.low === null || row.low === undefined || row.low === row.high ? "" : `${format(row.low)} to ${format(row.high)}`);
  // Beside a long name only the value has room; the numbers below the chart have the interval.
  const brief = (row) => {
    const whole = `${said(row)}  ${interval(row)}`.trimEnd();
    return 7.6 * row.label.length + 7.2 * whole.length > width ? said(row) : whole;
  };
  const names = small
    ? [
        Plot.text(rows, { y: "index", text: (row) => row.label, frameAnchor: "left", textAnchor: "start", dx: -20, dy: -13, fontWeight: 600 }),
        Plot.text(rows, { y: "index", text: brief, frameAnchor: "right", textAnchor: "end", dx: 20, dy: -13, fill: "var(--muted)" }),
      ]
    : [
        Plot.text(rows, { y: "index", text: (row) => row.label, frameAnchor: "left", textAnchor: "start", dx: -232, dy: 0, fontWeight: 600, fill: (row) => (row.kind === "head" ? "var(--head)" : "var(--ink)") }),
        Plot.text(rows, { y: "index", text: "note", frameAnchor: "left", textAnchor: "start", dx: -232, dy: 13, fontSize: 11, fill: "var(--muted)" }),
        Plot.text(rows, { y: "index", text: said, frameAnchor: "right", textAnchor: "start", dx: 14, fontWeight: 600 }),
        Plot.text(rows, { y: "index", text: interval, frameAnchor: "right", textAnchor: "start", dx: 14, dy: 13, fontSize: 11, fill: "var(--muted)" }),
      ];
  const stroke = (row) => colours[row.kind] ?? colours.baseline;
  return Plot.plot({
    document,
    width,
    height: rows.length * (small ? 44 : 34) + 52,
    marginLeft: small ? 20 : 240,
    marginRight: small ? 22 : 120,
    marginTop: small ? 26 : 14,
    marginBottom: 38,
    ariaLabel: chart.title,
    style: { fontSize: "13px", background: "transparent", overflow: "visible" },
    x: { domain: domain(chart), tickFormat: tickFormat[chart.unit], ticks: small ? 4 : 6, label: chart.axis ?? null, grid: true, labelAnchor: "center", labelArrow: "none" },
    y: { domain: rows.map((row) => row.index), axis: null, type: "band", padding: 0 },
    marks: [
      chart.rule === undefined ? null : Plot.ruleX([chart.rule], { stroke: "var(--muted)", strokeDasharray: "3 3" }),
      Plot.ruleY(rows, { y: "index", x1: (row) => row.low ?? row.value, x2: (row) => row.high ?? row.value, stroke, strokeWidth: 3.5, strokeOpacity: 0.45, strokeLinecap: "round" }),
      Plot.dot(rows, { y: "index", x: "value", r: 5, fill: stroke, channels: { note: { value: "note", label: "" } }, title: (row) => `${row.label}: ${said(row)} ${interval(row)}${row.note ? `\n${row.note}` : ""}` }),
      ...names,
    ],
  });
}

/** Where the lines' names stand: at their ends, moved apart by `gap` of the axis where they would cover each other. */
function names(ends, gap) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  const places = sorted.map((end) => end.y);
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + gap);
  const middle = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const shift = middle(sorted.map((end) => end.y)) - middle(places);
  return sorted.map((end, i) => ({ ...end, at: places[i] + shift }));
}

/** Lines over a number: {series: [{label, points: [{x, y, low, high}]}], unit, log_x, x_label, rule, mark, mark_label}. */
export function lines(chart, width, document) {
  const points = chart.series.flatMap((series, index) => series.points.map((point) => ({ ...point, label: series.label, index })));
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const colour = (point) => lineColours[point.index % lineColours.length];
  const ends = chart.series.map((series, index) => ({ ...series.points.at(-1), label: series.label, index }));
  const height = Math.min(300, Math.max(210, width * 0.55));
  const ys = points.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]);
  if (chart.rule !== undefined) ys.push(chart.rule);
  const range = Math.max(...ys) - Math.min(...ys) || 1;
  const log = chart.log_x && xs[0] > 0 && xs.length > 1;
  return Plot.plot({
    document,
    width,
    height,
    marginLeft: 52,
    marginRight: 104,
    marginBottom: 40,
    ariaLabel: chart.title,
    style: { fontSize: "12px", background: "transparent" },
    x: { type: log ? "log" : "linear", ticks: xs.length <= 8 ? xs : undefined, tickFormat: number, label: chart.x_label, labelAnchor: "center", labelArrow: "none" },
    y: { grid: true, nice: true, ticks: 5, tickFormat: chart.unit === "share" ? tickFormat.share : number, label: null },
    marks: [
      chart.rule === undefined ? null : Plot.ruleY([chart.rule], { stroke: "var(--muted)", strokeDasharray: "3 3" }),
      chart.mark === undefined ? null : Plot.ruleX([chart.mark], { stroke: "var(--muted)", strokeDasharray: "3 3" }),
      chart.mark === undefined ? null : Plot.text([chart.mark], { x: (value) => value, frameAnchor: "top", text: () => chart.mark_label, dy: -14, fill: "var(--muted)" }),
      Plot.ruleX(points.filter((point) => typeof point.low === "number"), { x: "x", y1: "low", y2: "high", stroke: colour, strokeWidth: 3, strokeOpacity: 0.35 }),
      Plot.line(points, { x: "x", y: "y", z: "label", stroke: colour, strokeWidth: 2 }),
      Plot.dot(points, { x: "x", y: "y", r: 3, fill: colour, title: (point) => `${point.label}: ${chart.unit === "share" ? percent(point.y) : number(point.y)} at ${number(point.x)}` }),
      Plot.text(names(ends, (range * 17) / (height - 60)), { x: "x", y: "at", text: "label", textAnchor: "start", dx: 8, fill: colour, fontWeight: 600 }),
    ],
  });
}

/** Stated probability against the share that was right: {bins: [{share, confidence, accuracy}]}. */
export function reliability(chart, width, document) {
  const least = Math.min(0.5, ...chart.bins.flatMap((bin) => [bin.confidence, bin.accuracy]));
  const low = Math.max(0, Math.floor(least * 10) / 10);
  const axis = { domain: [low, 1], ticks: 5, tickFormat: (value) => `${Math.round(100 * value)} %`, labelArrow: "none" };
  return Plot.plot({
    document,
    width,
    height: Math.min(300, Math.max(210, width * 0.62)),
    marginLeft: 52,
    marginRight: 20,
    marginBottom: 42,
    ariaLabel: chart.title,
    style: { fontSize: "12px", background: "transparent" },
    x: { ...axis, label: "stated probability of its answer", labelAnchor: "center" },
    y: { ...axis, grid: true, label: "share that was right", labelAnchor: "top" },
    r: { range: [2, 7], domain: [0, Math.max(...chart.bins.map((bin) => bin.share))] },
    marks: [
      Plot.link([{}], { x1: low, y1: low, x2: 1, y2: 1, stroke: "var(--muted)", strokeDasharray: "3 3" }),
      Plot.dot(chart.bins, { x: "confidence", y: "accuracy", r: "share", fill: "var(--head)", fillOpacity: 0.75, title: (bin) => `stated ${percent(bin.confidence)}, right ${percent(bin.accuracy)}, ${percent(bin.share)} of the answers` }),
    ],
  });
}

export const kinds = { intervals, lines, reliability };
