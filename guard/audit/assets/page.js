"use strict";
// Draws the charts of the page from the data that stands in it. The tables and figures are already
// there: without this the page only has no pictures.
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const UNIT = 1e8; // microcents in a unit of currency; pictures may round, the tables do not
  let charts = [];

  // What a test, or a person with the console open, may want to know.
  root.dataset.errors = "0";
  root.dataset.violations = "0";
  const count = (name) => { root.dataset[name] = String(Number(root.dataset[name]) + 1); };
  addEventListener("error", () => count("errors"));
  document.addEventListener("securitypolicyviolation", () => count("violations"));

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 8 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
  const utc = (seconds) => new Date(seconds * 1e3);
  const clock = (seconds) =>
    utc(seconds).toISOString().replace("T", " ").replace(/(\.\d+)?Z$/, (ms) => ms === ".000Z" ? "" : ms.slice(0, -1));

  function duration(ns) {
    for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
      if (ns >= size) return `${Number((ns / size).toPrecision(3))} ${unit}`;
    }
    return `${ns} ns`;
  }

  function axis(values, more) {
    const soft = colour("soft");
    const lines = { stroke: colour("grid"), width: 1 };
    return { stroke: soft, grid: lines, ticks: lines, font: "12px system-ui, sans-serif", values, ...more };
  }

  // Labels in UTC, as exact as the step between them asks for.
  function timeAxis() {
    return axis((self, splits, _at, _space, step) => splits.map((seconds, i) => {
      const text = utc(seconds).toISOString();
      const day = text.slice(0, 10);
      const isNewDay = i === 0 || utc(splits[i - 1]).toISOString().slice(0, 10) !== day;
      const time = step < 1 ? text.slice(11, 23) : step < 60 ? text.slice(11, 19) : text.slice(11, 16);
      return step >= 86400 ? day : isNewDay ? `${time}\n${day}` : time;
    }), { space: 80 });
  }

  function draw(place, options, columns) {
    const chart = new uPlot({
      width: Math.max(place.clientWidth, 240),
      height: 240,
      tzDate: utc,
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      ...options,
    }, columns, place);
    charts.push({ chart, place });
  }

  function drawTimeline(place) {
    const { rows, bucket_width_ns: width } = data.timeline;
    const x = rows.map((row) => row[0] / 1e9);
    const step = width / 1e9;
    // Stacked: each series is drawn over the one that adds more to it.
    const parts = [1, 2, 3, 4].map((at) => rows.map((row) => row[at]));
    const sums = parts.map((_, upto) => rows.map((_row, i) => parts.slice(0, upto + 1).reduce((sum, part) => sum + part[i], 0)));
    const names = [["admitted", "admitted"], ["rejected: order", "order"], ["rejected: kernel", "kernel"], ["rejected: ledger", "ledger"]];
    const bars = uPlot.paths.bars({ size: [0.92, 60], align: 1 });
    const series = names.map(([label, name], at) => ({
      label, fill: colour(name), width: 0, paths: bars, points: { show: false },
      value: (_self, _sum, _series, i) => i == null ? "–" : whole.format(parts[at][i]),
    })).reverse();
    draw(place, {
      scales: { x: { range: () => [x[0] - step / 2, x[x.length - 1] + 1.5 * step] }, y: { range: (_s, _low, high) => [0, high * 1.05 || 1] } },
      axes: [timeAxis(), axis((_self, splits) => splits.map((value) => Number.isInteger(value) ? whole.format(value) : ""), { size: 60 })],
      series: [{ label: "from, UTC", value: (_self, seconds) => seconds == null ? "–" : clock(seconds) }, ...series],
    }, [x, ...sums.reverse()]);
  }

  // Rows say the peak of a bucket and how it ended; between two of them the end of the first holds.
  function stepsOf(rows, widthNs, endNs, peakAt, endOf) {
    const xs = [], ys = [];
    const add = (ns, value) => {
      if (xs.length && xs[xs.length - 1] === ns / 1e9) ys[ys.length - 1] = value;
      else { xs.push(ns / 1e9); ys.push(value); }
    };
    rows.forEach((row, i) => {
      add(row[0], row[peakAt] / UNIT);
      const next = i + 1 < rows.length ? rows[i + 1][0] : Math.max(endNs, row[0]) + widthNs;
      if (row[0] + widthNs < next) add(row[0] + widthNs, endOf(row) / UNIT);
      if (i + 1 === rows.length) add(next, endOf(row) / UNIT);
    });
    return [xs, ys];
  }

  // A step holds until the next one, so every series has a value at every time from its first on.
  function onOneAxis(tables) {
    const xs = [...new Set(tables.flatMap((table) => table[0]))].sort((a, b) => a - b);
    return [xs, ...tables.map(([times, values]) => {
      let at = -1;
      return xs.map((x) => {
        while (at + 1 < times.length && times[at + 1] <= x) at += 1;
        return at < 0 ? null : values[at];
      });
    })];
  }

  function limitOf(rows, widthNs, endNs, at) {
    if (rows.every((row) => row[at] === null)) return null;
    const xs = [], ys = [];
    rows.forEach((row, i) => {
      // Where a limit is lifted its line goes up to there, and not only to the last change before.
      if (row[at] === null && i && rows[i - 1][at] !== null) { xs.push(row[0] / 1e9 - 1e-6); ys.push(ys[ys.length - 1]); }
      xs.push(row[0] / 1e9);
      ys.push(row[at] === null ? null : row[at] / UNIT);
    });
    xs.push((Math.max(endNs, rows[rows.length - 1][0]) + widthNs) / 1e9);
    ys.push(ys[ys.length - 1]);
    return [xs, ys];
  }

  function drawExposure(place, desk) {
    const width = data.exposure.bucket_width_ns;
    const rows = data.exposure.desks[desk];
    if (!rows || !rows.length) return;
    const end = data.end_ns;
    const money = (value) => value == null ? "–" : `${exact.format(value)} ${data.currency}`;
    const tables = [], series = [];
    const add = (label, table, name, more) => {
      if (!table) return;
      tables.push(table);
      series.push({
        label, stroke: colour(name), width: 2, points: { show: false }, spanGaps: true,
        paths: uPlot.paths.stepped({ align: 1 }), value: (_self, value) => money(value), ...more,
      });
    };
    add("held and spent", stepsOf(rows, width, end, 2, (row) => row[3] + row[4]), "used", { width: 1.5 });
    add("held", stepsOf(rows, width, end, 1, (row) => row[3]), "held", { fill: `${colour("held")}22` });
    const after = data.what_if && data.what_if.desks[desk];
    if (after && after.length) {
      add("held, what if", stepsOf(after, data.what_if.bucket_width_ns, end, 1, (row) => row[3]), "after", { dash: [6, 4] });
    }
    const peak = Math.max(...tables.map(([, ys]) => Math.max(...ys)));
    const near = (table) => table && Math.max(...table[1]) <= 4 * peak ? table : null;
    add("cap", near(limitOf(rows, width, end, 6)), "limit", { width: 1.5 });
    add("budget", near(limitOf(rows, width, end, 5)), "limit", { width: 1.5, dash: [2, 4] });
    draw(place, {
      height: 210,
      scales: { y: { range: (_s, _low, high) => [0, high * 1.06 || 1] } },
      axes: [timeAxis(), axis((_self, splits) => splits.map((value) => short.format(value)), { size: 64 })],
      series: [{ label: "at, UTC", value: (_self, seconds) => seconds == null ? "–" : clock(seconds) }, ...series],
    }, onOneAxis(tables));
  }

  // Bins of equal width on a logarithmic scale, four to each doubling.
  function drawHistogram(place, histogram, name, text) {
    const merged = new Map();
    for (const [top, number] of histogram) {
      const bin = top < 1 ? -1 : Math.floor(Math.log2(top) * 4);
      const old = merged.get(bin) || [top, 0];
      merged.set(bin, [Math.max(old[0], top), old[1] + number]);
    }
    const first = Math.min(...merged.keys()), last = Math.max(...merged.keys());
    const x = [], y = [], tops = [];
    for (let bin = first; bin <= last; bin += 1) {
      const [top, number] = merged.get(bin) || [Math.round(2 ** ((bin + 1) / 4)), 0];
      x.push(bin); y.push(number); tops.push(top);
    }
    const labelOf = (bin) => Number.isInteger(bin) && tops[bin - first] !== undefined ? text(tops[bin - first]) : "";
    draw(place, {
      height: 190,
      scales: { x: { time: false, range: () => [first - 0.7, last + 0.7] }, y: { range: (_s, _low, high) => [0, high * 1.06 || 1] } },
      axes: [axis((_self, splits) => splits.map(labelOf), { space: 70 }), axis((_self, splits) => splits.map((v) => Number.isInteger(v) ? whole.format(v) : ""), { size: 60 })],
      series: [
        { label: "up to", value: (_self, bin) => bin == null ? "–" : labelOf(bin) },
        { label: name, fill: colour("held"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.9, 60] }), value: (_self, value) => value == null ? "–" : whole.format(value) },
      ],
    }, [x, y]);
  }

  function drawAll() {
    charts.forEach(({ chart }) => chart.destroy());
    charts = [];
    for (const place of document.querySelectorAll(".plot")) {
      const kind = place.dataset.chart;
      if (kind === "timeline") drawTimeline(place);
      else if (kind === "exposure") drawExposure(place, place.dataset.desk);
      else if (kind === "chosen") drawExposure(place, document.getElementById("desk").value);
      else drawHistogram(place, data[kind], place.dataset.name, kind === "batches" ? whole.format : duration);
    }
    root.dataset.charts = String(charts.length);
  }

  drawAll();
  const choice = document.getElementById("desk");
  if (choice) choice.addEventListener("change", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let pending = 0;
  addEventListener("resize", () => {
    clearTimeout(pending);
    pending = setTimeout(() => charts.forEach(({ chart, place }) =>
      chart.setSize({ width: Math.max(place.clientWidth, 240), height: chart.height })), 100);
  });
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
