import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHTML } from "linkedom";
import { kinds } from "../report/charts.js";

const { document } = parseHTML("<!doctype html><html><body></body></html>");
const texts = (svg) => [...svg.querySelectorAll("text")].map((node) => node.textContent);
const dots = (svg) => svg.querySelectorAll('[aria-label="dot"] circle').length;

const rows = [
  { label: "mlp <b>&", note: "this head", kind: "head", value: 0.61, low: 0.55, high: 0.67 },
  { label: "random", note: "expected value", kind: "baseline", value: 0.5, low: null, high: null },
];

for (const width of [340, 900]) {
  test(`intervals say each row's value at ${width} pixels`, () => {
    const svg = kinds.intervals({ title: "Pair accuracy", unit: "share", rule: 0.5, domain: [0, 1], rows }, width, document);
    assert.equal(dots(svg), 2);
    const said = texts(svg).join("|");
    assert.match(said, /mlp <b>&/);
    assert.match(said, /61\.0 %/);
    assert.match(said, /55\.0 % to 67\.0 %/);
    assert.equal(svg.getAttribute("aria-label"), "Pair accuracy");
    assert.equal(svg.querySelectorAll("b").length, 0, "a label is text");
    assert.doesNotMatch(svg.outerHTML, /NaN|undefined/);
  });
}

test("a long name on a phone leaves room for the value alone", () => {
  const long = [{ ...rows[0], label: "an image of conflicting labels" }];
  const said = texts(kinds.intervals({ title: "t", unit: "share", rule: 0.5, domain: [0, 1], rows: long }, 340, document));
  assert.ok(said.includes("61.0 %"));
  assert.ok(!said.join("|").includes("67.0 %"));
});

test("intervals of differences have a sign and hold their rule", () => {
  const svg = kinds.intervals(
    { title: "Probes", unit: "number", rule: 0, rows: [{ label: "blank", kind: "head", value: -1.5, low: -1.7, high: -1.2 }] },
    600,
    document,
  );
  assert.match(texts(svg).join("|"), /-1\.50/);
  assert.doesNotMatch(svg.outerHTML, /NaN|undefined/);
});

test("lines: each series has its dots and its name", () => {
  const series = [
    { label: "train", points: [{ x: 1, y: 0.9 }, { x: 2, y: 0.7 }] },
    { label: "validation", points: [{ x: 1, y: 0.8, low: 0.7, high: 0.9 }, { x: 2, y: 0.75, low: 0.7, high: 0.8 }] },
  ];
  const svg = kinds.lines({ title: "Loss", unit: "number", x_label: "epoch", mark: 2, mark_label: "kept", series }, 400, document);
  assert.equal(dots(svg), 4);
  for (const name of ["train", "validation", "kept"]) assert.ok(texts(svg).includes(name), name);
  assert.doesNotMatch(svg.outerHTML, /NaN|undefined/);
});

test("lines: one point, or a zero on a logarithmic axis, is no trouble", () => {
  const one = kinds.lines({ title: "t", unit: "share", x_label: "rows", log_x: true, rule: 0.5, series: [{ label: "a", points: [{ x: 10, y: 0.6 }] }] }, 400, document);
  const zero = kinds.lines({ title: "t", unit: "share", x_label: "rows", log_x: true, series: [{ label: "a", points: [{ x: 0, y: 0.5 }, { x: 9, y: 0.6 }] }] }, 400, document);
  for (const svg of [one, zero]) assert.doesNotMatch(svg.outerHTML, /NaN|Infinity/);
});

test("reliability: a dot for each bin", () => {
  const bins = [{ share: 0.5, confidence: 0.6, accuracy: 0.55 }, { share: 0.5, confidence: 0.9, accuracy: 0.8 }];
  const svg = kinds.reliability({ title: "Calibration", bins }, 400, document);
  assert.equal(dots(svg), 2);
  assert.doesNotMatch(svg.outerHTML, /NaN|undefined/);
});
