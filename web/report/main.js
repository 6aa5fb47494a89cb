import { kinds } from "./charts.js";

const charts = JSON.parse(document.getElementById("charts").textContent);

function draw(place) {
  const chart = charts[place.dataset.chart];
  const width = Math.round(place.clientWidth);
  if (!chart || width === 0 || place.dataset.width === String(width)) return;
  place.dataset.width = String(width);
  place.replaceChildren(kinds[chart.kind](chart, width, document));
}

const places = [...document.querySelectorAll("[data-chart]")];
const observer = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));
for (const place of places) {
  draw(place);
  observer.observe(place);
}
// Paper has a width of its own, which no resize tells of.
addEventListener("beforeprint", () => places.forEach(draw));
