"use strict";
// The charts of our pages: of a report, and of a guard that runs. Each draws into a place, and gives
// back what draws other data into the same chart: { update(data), destroy(), resize() }.
const Charts = (() => {
  const root = document.documentElement;
  const UNIT = 1e8; // microcents in a unit of currency; pictures may round, the tables do not

  // What a test, or a person with the console open, may want to know.
  root.dataset.errors = "0";
  root.dataset.violations = "0";
  const count = (name) => { root.dataset[name] = String(Number(root.dataset[name]) + 1); };
  addEventListener("error", () => count("errors"));
  addEventListener("unhandledrejection", () => count("errors"));
  document.addEventListener("securitypolicyviolation", () => count("violations"));

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 8 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
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

  const counts = () => axis((_self, splits) => splits.map((value) => Number.isInteger(value) ? whole.format(value) : ""), { size: 60 });
  const atUtc = (label) => ({ label, value: (_self, seconds) => seconds == null ? "–" : clock(seconds) });

  // `shape(data)` gives { options, columns, form }. While the form stays, a chart gets new columns;
  // else it is drawn anew. Null: there is nothing to draw.
  function live(place, data, shape) {
    let chart = null, form = null, shown = data;
    const width = () => Math.max(place.clientWidth, 240);
    function destroy() {
      if (chart) chart.destroy();
      chart = null;
    }
    function draw() {
      const shaped = shape(shown);
      if (!shaped) return destroy();
      if (chart && form === shaped.form) return chart.setData(shaped.columns);
      destroy();
      form = shaped.form;
      chart = new uPlot({
        width: width(),
        height: 240,
        tzDate: utc,
        cursor: { y: false, points: { size: 6 } },
        legend: { live: true },
        ...shaped.options,
      }, shaped.columns, place);
    }
    draw();
    return {
      get isDrawn() { return chart !== null; },
      update(fresh) { shown = fresh; draw(); },
      redraw() { destroy(); draw(); },
      resize() { if (chart) chart.setSize({ width: width(), height: chart.height }); },
      destroy,
    };
  }

  // Orders over time: { bucket_width_ns, rows: [[begin_ns, admitted, order, kernel, ledger], ...] }.
  function timeline(place, data) {
    let x, step, parts; // of the newest data: what the chart asks for when it draws
    return live(place, data, ({ rows, bucket_width_ns: width }) => {
      if (!rows.length) return null;
      x = rows.map((row) => row[0] / 1e9);
      step = width / 1e9;
      // Stacked: each series is drawn over the one that adds more to it.
      parts = [1, 2, 3, 4].map((at) => rows.map((row) => row[at]));
      const sums = parts.map((_, upto) => rows.map((_row, i) => parts.slice(0, upto + 1).reduce((sum, part) => sum + part[i], 0)));
      const names = [["admitted", "admitted"], ["rejected: order", "order"], ["rejected: kernel", "kernel"], ["rejected: ledger", "ledger"]];
      const bars = uPlot.paths.bars({ size: [0.92, 60], align: 1 });
      const series = names.map(([label, name], at) => ({
        label, fill: colour(name), width: 0, paths: bars, points: { show: false },
        value: (_self, _sum, _series, i) => i == null ? "–" : whole.format(parts[at][i]),
      })).reverse();
      return {
        form: `${width}`,
        columns: [x, ...sums.reverse()],
        options: {
          scales: { x: { range: () => [x[0] - step / 2, x[x.length - 1] + 1.5 * step] }, y: { range: (_s, _low, high) => [0, high * 1.05 || 1] } },
          axes: [timeAxis(), counts()],
          series: [atUtc("from, UTC"), ...series],
        },
      };
    });
  }

  // Times over time, on a logarithmic scale: { rows: [[begin_ns, ns or null, ...], ...], names }.
  function times(place, data) {
    let x;
    return live(place, data, ({ rows, names }) => {
      if (!rows.some((row) => row.slice(1).some((value) => value !== null))) return null;
      x = rows.map((row) => row[0] / 1e9);
      const columns = names.map((_name, at) => rows.map((row) => row[at + 1]));
      const series = names.map(([label, name, more]) => ({
        label, stroke: colour(name), width: 1.5, points: { show: false },
        value: (_self, value) => value == null ? "–" : duration(value), ...more,
      }));
      const powers = (low, high) => {
        const found = [];
        for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.001; power += 1) found.push(10 ** power);
        return found;
      };
      return {
        form: "times",
        columns: [x, ...columns],
        options: {
          height: 210,
          scales: {
            x: { range: () => [x[0], x[x.length - 1] + 1] },
            y: { distr: 3, range: (_s, low, high) => low == null ? [1e5, 1e7] : [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.01))] },
          },
          axes: [timeAxis(), axis((_self, splits) => splits.map(duration), { size: 64, splits: (_self, _at, low, high) => powers(low, high) })],
          series: [atUtc("at, UTC"), ...series],
        },
      };
    });
  }

  // Rows say the peak of a bucket and how it ended; between two of them the end of the first holds.
  function stepsOf(rows, widthNs, endNs, peakAt, endOf, unit = UNIT) {
    const xs = [], ys = [];
    const add = (ns, value) => {
      if (xs.length && xs[xs.length - 1] === ns / 1e9) ys[ys.length - 1] = value;
      else { xs.push(ns / 1e9); ys.push(value); }
    };
    rows.forEach((row, i) => {
      add(row[0], row[peakAt] / unit);
      const next = i + 1 < rows.length ? rows[i + 1][0] : Math.max(endNs, row[0]) + widthNs;
      if (row[0] + widthNs < next) add(row[0] + widthNs, endOf(row) / unit);
      if (i + 1 === rows.length) add(next, endOf(row) / unit);
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

  function limitOf(rows, widthNs, endNs, at, unit = UNIT) {
    if (rows.every((row) => row[at] === null)) return null;
    const xs = [], ys = [];
    rows.forEach((row, i) => {
      // Where a limit is lifted its line goes up to there, and not only to the last change before.
      if (row[at] === null && i && rows[i - 1][at] !== null) { xs.push(row[0] / 1e9 - 1e-6); ys.push(ys[ys.length - 1]); }
      xs.push(row[0] / 1e9);
      ys.push(row[at] === null ? null : row[at] / unit);
    });
    xs.push((Math.max(endNs, rows[rows.length - 1][0]) + widthNs) / 1e9);
    ys.push(ys[ys.length - 1]);
    return [xs, ys];
  }

  // A desk's exposure: { currency, bucket_width_ns, end_ns, rows, after: { bucket_width_ns, rows } }.
  function exposure(place, data) {
    return live(place, data, ({ currency, bucket_width_ns: width, end_ns: end, rows, after }) => {
      if (!rows || !rows.length) return null;
      const money = (value) => value == null ? "–" : `${exact.format(value)} ${currency}`;
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
      if (after && after.rows.length) {
        add("held, what if", stepsOf(after.rows, after.bucket_width_ns, end, 1, (row) => row[3]), "after", { dash: [6, 4] });
      }
      const peak = Math.max(...tables.map(([, ys]) => Math.max(...ys)));
      const near = (table) => table && Math.max(...table[1]) <= 4 * peak ? table : null;
      add("cap", near(limitOf(rows, width, end, 6)), "limit", { width: 1.5 });
      add("budget", near(limitOf(rows, width, end, 5)), "limit", { width: 1.5, dash: [2, 4] });
      return {
        form: series.map(({ label }) => label).join(),
        columns: onOneAxis(tables),
        options: {
          height: 210,
          scales: { y: { range: (_s, _low, high) => [0, high * 1.06 || 1] } },
          axes: [timeAxis(), axis((_self, splits) => splits.map((value) => short.format(value)), { size: 64 })],
          series: [atUtc("at, UTC"), ...series],
        },
      };
    });
  }

  // A limit's use: { currency, is_money, bucket_width_ns, end_ns, rows: [[begin_ns, peak, used, bound or null], ...] }.
  function limit(place, data) {
    return live(place, data, ({ currency, is_money: isMoney, bucket_width_ns: width, end_ns: end, rows }) => {
      if (!rows || !rows.length) return null;
      const unit = isMoney ? UNIT : 1;
      const text = (value) => value == null ? "–" : isMoney ? `${exact.format(value)} ${currency}` : whole.format(value);
      const bound = limitOf(rows, width, end, 3, unit);
      const stepped = { points: { show: false }, spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }), value: (_self, value) => text(value) };
      const tables = [stepsOf(rows, width, end, 1, (row) => row[2], unit), ...(bound ? [bound] : [])];
      const series = [
        { ...stepped, label: "used", stroke: colour("held"), width: 2, fill: `${colour("held")}22` },
        { ...stepped, label: "bound", stroke: colour("limit"), width: 1.5 },
      ].slice(0, tables.length);
      return {
        form: `limit ${tables.length}`,
        columns: onOneAxis(tables),
        options: {
          height: 190,
          scales: { y: { range: (_s, _low, high) => [0, high * 1.06 || 1] } },
          axes: [timeAxis(), axis((_self, splits) => splits.map((value) => short.format(value)), { size: 64 })],
          series: [atUtc("at, UTC"), ...series],
        },
      };
    });
  }

  // A position: { currency, bucket_width_ns, end_ns, size of a lot, rows: [[begin_ns, lots, profit in microcents], ...] }.
  function position(place, data) {
    return live(place, data, ({ currency, bucket_width_ns: width, end_ns: end, size, rows }) => {
      if (!rows || rows.length < 2) return null;
      const last = rows[rows.length - 1];
      const held = [...rows, [Math.max(end, last[0] + width), last[1], last[2]]];
      const stepped = { width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) };
      const sides = { values: (_self, splits) => splits.map((value) => short.format(value)), size: 64 };
      return {
        form: "position",
        columns: [held.map((row) => row[0] / 1e9), held.map((row) => row[1] * size), held.map((row) => row[2] / UNIT)],
        options: {
          height: 210,
          scales: { profit: {} },
          axes: [
            timeAxis(),
            axis(sides.values, { size: sides.size }),
            axis(sides.values, { size: sides.size, side: 1, scale: "profit", grid: { show: false } }),
          ],
          series: [
            atUtc("at, UTC"),
            { ...stepped, label: "position", stroke: colour("held"), value: (_self, value) => value == null ? "–" : exact.format(value) },
            { ...stepped, label: "profit", scale: "profit", width: 1.5, stroke: colour("used"), dash: [6, 4], value: (_self, value) => value == null ? "–" : `${exact.format(value)} ${currency}` },
          ],
        },
      };
    });
  }

  // Bins of equal width on a logarithmic scale, four to each doubling: { histogram, name, text }.
  function histogram(place, data) {
    return live(place, data, ({ histogram: classes, name, text }) => {
      const merged = new Map();
      for (const [top, number] of classes) {
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
      return {
        form: `${first} ${last}`,
        columns: [x, y],
        options: {
          height: 190,
          scales: { x: { time: false, range: () => [first - 0.7, last + 0.7] }, y: { range: (_s, _low, high) => [0, high * 1.06 || 1] } },
          axes: [axis((_self, splits) => splits.map(labelOf), { space: 70 }), counts()],
          series: [
            { label: "up to", value: (_self, bin) => bin == null ? "–" : labelOf(bin) },
            { label: name, fill: colour("held"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.9, 60] }), value: (_self, value) => value == null ? "–" : whole.format(value) },
          ],
        },
      };
    });
  }

  // Calls when what is drawn should be drawn again: other colours, another width.
  function onChange(redraw, resize) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    let pending = 0;
    addEventListener("resize", () => {
      clearTimeout(pending);
      pending = setTimeout(resize, 100);
    });
  }

  return { UNIT, timeline, times, exposure, limit, position, histogram, onChange, duration, clock, whole, exact, short };
})();
