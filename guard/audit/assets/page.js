"use strict";
// Draws the charts of the report from the data that stands in its page. The tables and figures are
// already there: without this the page only has no pictures.
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  let charts = [];

  function exposureOf(desk) {
    const { bucket_width_ns, desks } = data.exposure;
    const after = data.what_if && data.what_if.desks[desk];
    return {
      currency: data.currency, end_ns: data.end_ns, bucket_width_ns, rows: desks[desk],
      after: after && { bucket_width_ns: data.what_if.bucket_width_ns, rows: after },
    };
  }

  function draw(place) {
    const { chart: kind, desk, name, course } = place.dataset;
    if (kind === "timeline") return Charts.timeline(place, data.timeline);
    if (kind === "exposure") return Charts.exposure(place, exposureOf(desk));
    if (kind === "position") {
      const { bucket_width_ns, courses } = data.positions;
      return Charts.position(place, { currency: data.currency, end_ns: data.end_ns, bucket_width_ns, ...courses[course] });
    }
    if (kind === "limit") {
      const { bucket_width_ns, courses } = data.limits;
      return Charts.limit(place, { currency: data.currency, end_ns: data.end_ns, bucket_width_ns, ...courses[course] });
    }
    if (kind === "chosen") return Charts.exposure(place, exposureOf(document.getElementById("desk").value));
    const text = kind === "batches" ? Charts.whole.format : Charts.duration;
    return Charts.histogram(place, { histogram: data[kind], name, text });
  }

  function drawAll() {
    charts.forEach((chart) => chart.destroy());
    charts = [...document.querySelectorAll(".plot")].map(draw).filter((chart) => chart.isDrawn);
    root.dataset.charts = String(charts.length);
  }

  drawAll();
  const choice = document.getElementById("desk");
  if (choice) choice.addEventListener("change", drawAll);
  Charts.onChange(drawAll, () => charts.forEach((chart) => chart.resize()));
  // On paper: light. What is folded away stays so: the rows behind a chart fill fifty pages.
  addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.theme;
    drawAll();
  });
})();
