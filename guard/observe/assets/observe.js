"use strict";
// Shows what the observer tells. Every text is put in as text; nothing is sent but questions.
(() => {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const { whole, short, duration } = Charts;
  const SERIES = { second: { kept: 600 }, minute: { kept: 1440 } };
  const CHARTS_SHOWN = 4, DESKS_SHOWN = 40, SLOW_MS = 5000, SILENT_MS = 5000, CHOICES_MAX = 2000;
  const BEHIND = 20000; // records: with more the newest seconds here are not what they were
  const AT = { admitted: 1, answerP50: 7, answerP99: 8, syncP50: 9, syncP99: 10, sent: 11 };

  const state = { now: null, desks: [], span: "second", rows: [], width: 1e9, heardMs: 0, showAll: false };
  const charts = { exposures: new Map() };
  const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const amount = (microcents) => microcents == null ? "none" : money.format(microcents / Charts.UNIT);
  const atPrices = (microcents) => microcents == null ? "–" : amount(microcents); // not kept, or no price
  const timeOf = (ns) => {
    const text = new Date(ns / 1e6).toISOString();
    const isToday = text.slice(0, 10) === new Date().toISOString().slice(0, 10);
    return isToday ? text.slice(11, 23) : `${text.slice(0, 10)} ${text.slice(11, 19)}`;
  };
  const dayTimeOf = (ns) => new Date(ns / 1e6).toISOString().slice(0, 19).replace("T", " ");
  const many = (number) => number < 1e6 ? whole.format(number) : short.format(number);

  function age(ns) {
    const seconds = Math.floor(ns / 1e9);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} days`;
  }

  function bytes(number) {
    for (const [size, unit] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"]]) {
      if (number >= size) return `${Number((number / size).toPrecision(3))} ${unit}`;
    }
    return `${whole.format(number)} B`;
  }

  function make(tag, kind, ...content) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...content);
    return element;
  }

  // Rows of texts (or elements) under the heads of a table; what is not there is said.
  function fill(table, rows, kinds, none) {
    const made = rows.map((cells) => make("tr", "", ...cells.map((cell, at) => {
      const element = make(at === 0 ? "th" : "td", kinds[at] || "", cell);
      if (at === 0) element.scope = "row";
      return element;
    })));
    if (!made.length) {
      const cell = make("td", "soft", none);
      cell.colSpan = kinds.length;
      made.push(make("tr", "", cell));
    }
    table.tBodies[0].replaceChildren(...made);
  }

  // -- what there is now ---------------------------------------------------------------------------

  function showState() {
    const now = state.now;
    const silentMs = Date.now() - state.heardMs;
    const pill = $("state");
    const say = (kind, text) => {
      pill.className = `state ${kind}`;
      if (pill.textContent !== text) pill.textContent = text;
      document.title = `${text === "ready" ? "" : `${text}: `}Pretrade Guard`;
    };
    const isLost = state.heardMs && silentMs > SILENT_MS;
    $("alarms").parentElement.classList.toggle("stale", Boolean(isLost || !now || !now.daemon || "silent" in now.unready));
    if (isLost) return say("bad", "the observer does not answer");
    if (!now) return say("", "connecting");
    const words = Object.keys(now.unready);
    if (words.includes("silent")) return say("bad", "no answer");
    if (words.length) return say("bad", "not ready");
    return Object.keys(now.troubles).length ? say("warn", "ready, with alarms") : say("good", "ready");
  }

  function showAlarms() {
    const { unready, troubles, feed } = state.now;
    const found = [...new Set([...Object.values(unready), ...Object.values(troubles)])];
    if (feed.error) found.push(`the observer cannot read the log: ${feed.error}`);
    if (feed.gaps) found.push(`the observer has missed records ${feed.gaps} times: counts here are too low`);
    const text = found.join("\n");
    const list = $("troubles");
    if (list.dataset.text === text) return;
    list.dataset.text = text;
    const items = found.map((sentence) => make("li", "", sentence));
    list.replaceChildren(...(items.length ? items : [make("li", "well", "All is well.")]));
  }

  function showFigures() {
    const { daemon, feed, currency } = state.now;
    if (!daemon) return;
    const { figures } = daemon;
    $("about").textContent = `${daemon.endpoint}, version ${daemon.software_version}, up ${age(figures.uptime_ns)}; log ${daemon.log_directory}, session ${daemon.epoch}${currency ? `; amounts in ${currency}` : ""}`;
    const last = state.rows.slice(-10);
    const perSecond = (from, upto) => last.length ? last.reduce((sum, row) => sum + row.slice(from, upto).reduce((a, b) => a + b, 0), 0) / last.length * 1e9 / state.width : 0;
    const orders = perSecond(AT.admitted, 5), rejected = perSecond(2, 5);
    const isBehind = feed.behind_records > BEHIND;
    const notYet = `${many(feed.behind_records)} records not read yet`;
    const rate = (number) => number >= 100 || Number.isInteger(number) ? whole.format(number) : number.toFixed(1);
    const newest = [...state.rows].reverse().find((row) => row[AT.answerP99] !== null);
    const anchor = figures.anchor_sequence < 0 ? ["none", "not configured"]
      : [figures.anchor_behind_ns < 1e9 ? "up to date" : `${age(figures.anchor_behind_ns)} behind`, `at record ${whole.format(figures.anchor_sequence)}`];
    const over = state.span === "second" ? "of the last 10 s" : "of the last 10 min";
    const cards = [
      ["orders a second", isBehind ? "–" : rate(orders), isBehind ? notYet : over],
      ["rejected", orders && !isBehind ? `${(100 * rejected / orders).toFixed(1)} %` : "–", isBehind ? notYet : over],
      ["answers, p99", newest ? `≤ ${duration(newest[AT.answerP99])}` : "–", figures.last_sync_ns ? `last sync ${duration(figures.last_sync_ns)}` : ""],
      ["open orders", many(figures.open_orders), `${many(figures.remembered_orders)} ids kept`],
      ["head", many(daemon.head_sequence), daemon.head_hash.slice(0, 12)],
      ["checkpoint", `${age(figures.checkpoint_age_ns)} ago`, `${many(figures.records_since_checkpoint)} since`],
      ["anchor", ...anchor],
      ["disk left", figures.disk_left_bytes < 0 ? "unknown" : bytes(figures.disk_left_bytes), `reserve ${bytes(figures.disk_reserve_bytes)}`],
    ];
    $("figures").replaceChildren(...cards.map(([name, value, beside]) =>
      make("div", "", make("dt", "", name), make("dd", "value", value), make("dd", "beside", beside))));
  }

  const unlessSame = (id, key, show) => {
    const table = $(id);
    if (table.dataset.shown === key) return;
    table.dataset.shown = key;
    show(table);
  };

  function showRecords() {
    const { rejects, halts, totals } = state.now;
    unlessSame("reject-table", `${rejects.length} ${rejects.length && rejects[0].sequence}`, (table) =>
      fill(table, rejects.map((row) => [timeOf(row.at_ns), `${row.desk}/${row.order}`, row.words, row.asked, whole.format(row.sequence)]),
        ["name", "name", "words", "name", "num"], "No order was refused since shortly before the observer began."));
    unlessSame("halt-table", `${halts.length} ${halts.length && halts[0].sequence}`, (table) =>
      fill(table, halts.map((row) => [dayTimeOf(row.at_ns), make("span", row.is_halt ? "stopped" : "", row.what), row.scope === "firm" ? "all desks" : `${row.scope} ${row.name}`, row.by, row.why, whole.format(row.sequence)]),
        ["name", "", "name", "", "", "num"], "None since shortly before the observer began."));
    const { limits } = state.now;
    unlessSame("limit-table", JSON.stringify(limits), (table) =>
      fill(table, limits.map((row) => {
        const share = row.use_per_mille;
        const of = share === null ? "–" : make("span", "", `${(share / 10).toFixed(1)} %`, useBar(share));
        return [row.limit, row.said_by, row.used_by, of, row.used, row.bound];
      }), ["name", "name", "name", "num", "num", "num"], "No limit is configured, or none is looked at yet."));
    const orders = [...totals.orders].sort((a, b) => b[3] - a[3]);
    unlessSame("reason-table", JSON.stringify(orders), (table) =>
      fill(table, orders.map(([verdict, stage, reason, number]) => [verdict, stage, reason, whole.format(number)]), ["", "", "", "num"], "No order yet."));
  }

  // -- series --------------------------------------------------------------------------------------

  const timelineData = () => ({ bucket_width_ns: state.width, rows: state.rows.map((row) => row.slice(0, 5)) });
  const timesOf = (p50, p99) => ({
    rows: state.rows.map((row) => [row[0], row[p50], row[p99]]),
    names: [["p50, at most", "held"], ["p99, at most", "after"]],
  });
  const answerData = () => timesOf(AT.answerP50, AT.answerP99);
  const syncData = () => timesOf(AT.syncP50, AT.syncP99);
  const sentData = () => ({ rows: state.rows.map((row) => [row[0], row[AT.sent]]), names: [["slowest", "after"]] });

  function drawSeries() {
    if (!charts.flow) {
      charts.flow = Charts.timeline($("flow"), timelineData());
      charts.answers = Charts.times($("answers"), answerData());
      charts.syncs = Charts.times($("syncs"), syncData());
      charts.sent = Charts.times($("sent"), sentData());
    } else {
      charts.flow.update(timelineData());
      charts.answers.update(answerData());
      charts.syncs.update(syncData());
      charts.sent.update(sentData());
    }
    $("flow-soft").textContent = state.span === "second" ? "a second" : "a minute";
    $("no-sent").hidden = charts.sent.isDrawn;
    $("no-sync").hidden = charts.syncs.isDrawn;
    $("no-answer").hidden = charts.answers.isDrawn;
    root.dataset.rows = String(state.rows.length);
  }

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer.json();
  }

  async function loadSeries() {
    const span = state.span;
    const found = await ask(`/data/series?by=${span}`);
    if (span !== state.span) return; // another was chosen meanwhile
    state.rows = found.rows;
    state.width = found.bucket_width_ns;
    drawSeries();
  }

  // The newest seconds, some of which are there already; where some are missing, all of them anew.
  function addSeconds(fresh) {
    if (!fresh.length || state.span !== "second") return;
    const rows = state.rows, first = fresh[0][0];
    if (rows.length && first - rows[rows.length - 1][0] > 1.5e9) return void quietly(loadSeries);
    state.rows = [...rows.filter((row) => row[0] < first), ...fresh].slice(-SERIES.second.kept);
    drawSeries();
  }

  // -- desks ---------------------------------------------------------------------------------------

  function useBar(perMille) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "bar");
    svg.setAttribute("aria-hidden", "true");
    for (const [kind, width] of [["track", "100%"], [perMille >= 900 ? "full" : "", `${Math.min(perMille, 1000) / 10}%`]]) {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      rect.setAttribute("class", kind);
      rect.setAttribute("width", width);
      rect.setAttribute("height", "100%");
      svg.append(rect);
    }
    return svg;
  }

  function showDesks() {
    const part = $("filter").value.trim().toLowerCase();
    const isHaltedOnly = $("only-halted").checked;
    const found = state.desks.filter((desk) => desk.desk.toLowerCase().includes(part) && (!isHaltedOnly || desk.state === "halted"));
    const shown = state.showAll ? found : found.slice(0, DESKS_SHOWN);
    fill($("desk-table"), shown.map((desk) => [
      desk.desk, make("span", "", `${(desk.use_per_mille / 10).toFixed(1)} %`, useBar(desk.use_per_mille)),
      ...["held", "spent", "remaining", "granted", "max_reserved"].map((name) => amount(desk[`${name}_microcents`])),
      ...["exposure_gross", "day_profit"].map((name) => atPrices(desk[`${name}_microcents`])),
      make("span", desk.state === "halted" ? "stopped" : "", desk.why.length ? `${desk.state}: ${desk.why.join(", ")}` : desk.state),
    ]), ["name", "num", "num", "num", "num", "num", "num", "num", "num", "name"], state.desks.length ? "No desk is called so." : "No desks yet.");
    $("desk-count").textContent = found.length === state.desks.length ? `${whole.format(found.length)} desks` : `${whole.format(found.length)} of ${whole.format(state.desks.length)} desks`;
    const more = $("more-desks");
    more.hidden = found.length <= DESKS_SHOWN;
    more.textContent = state.showAll ? `Show the first ${DESKS_SHOWN}` : `Show all ${whole.format(found.length)}`;
    offer();
  }

  // The desks to choose from, by name; changed only where desks have come or gone.
  function offer() {
    const names = state.desks.map((desk) => desk.desk).sort().slice(0, CHOICES_MAX);
    const key = names.join();
    for (const [id, first] of [["desk", "none"], ["open-desk", "all desks"], ["position-desk", "all desks"]]) {
      const select = $(id);
      if (select.dataset.key === key) continue;
      select.dataset.key = key;
      const value = select.value;
      const none = make("option", "", first);
      none.value = "";
      select.replaceChildren(none, ...names.map((name) => make("option", "", name)));
      select.value = names.includes(value) ? value : "";
    }
  }

  // The charts of those who use most; each keeps its place while it is among them.
  async function loadExposures() {
    const names = state.desks.slice(0, CHARTS_SHOWN).map((desk) => desk.desk).sort();
    for (const [name, { chart, figure }] of charts.exposures) {
      if (names.includes(name)) continue;
      chart.destroy();
      figure.remove();
      charts.exposures.delete(name);
    }
    for (const name of names) {
      const data = await ask(`/data/exposure?desk=${encodeURIComponent(name)}`);
      const known = charts.exposures.get(name);
      if (known) { known.chart.update(data); continue; }
      const place = make("div", "plot");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", `Chart: exposure of ${name} through the day`);
      const figure = make("figure", "", make("figcaption", "", name), place);
      const after = names.slice(names.indexOf(name) + 1).map((later) => charts.exposures.get(later)).find(Boolean);
      $("exposures").insertBefore(figure, after ? after.figure : null);
      charts.exposures.set(name, { chart: Charts.exposure(place, data), figure });
    }
    root.dataset.exposures = String(charts.exposures.size);
    await loadChosen();
  }

  async function loadChosen() {
    const name = $("desk").value;
    $("chosen").hidden = !name;
    if (!name) return;
    const data = await ask(`/data/exposure?desk=${encodeURIComponent(name)}`);
    $("chosen-title").textContent = name;
    if (charts.chosen) charts.chosen.update(data);
    else charts.chosen = Charts.exposure($("chosen-plot"), data);
  }

  async function loadOpenOrders() {
    const desk = $("open-desk").value;
    const found = await ask(`/data/open-orders${desk ? `?desk=${encodeURIComponent(desk)}` : ""}`);
    fill($("open-table"), found.orders.map((order) => [`${order.desk}/${order.client_order_id}`, order.asked, order.filled, amount(order.hold_microcents), order.age_ns === null ? "–" : age(order.age_ns), whole.format(order.wal_sequence)]),
      ["name", "name", "num", "num", "num", "num"], "None is open.");
    $("open-count").textContent = found.has_more ? `${found.orders.length} of more` : `${found.orders.length}`;
  }

  async function loadPositions() {
    const desk = $("position-desk").value;
    const found = await ask(`/data/positions${desk ? `?desk=${encodeURIComponent(desk)}` : ""}`);
    fill($("position-table"), found.positions.map((line) => [line.desk, line.symbol, line.position, line.buying, line.selling, amount(line.cost_microcents), line.price || "–", amount(line.realised_microcents), atPrices(line.unrealised_microcents)]),
      ["name", "name", "num", "num", "num", "num", "num", "num", "num"], "Nothing was filled yet, and nothing works.");
    $("position-count").textContent = found.has_more ? `${found.positions.length} of more` : `${found.positions.length}`;
  }

  // -- the course of things ------------------------------------------------------------------------

  // A question without an answer is asked again by itself; the state says that nobody answers.
  async function quietly(load) {
    try { await load(); } catch (error) { root.dataset.failed = String(error.message || error); }
  }

  function onNow(told) {
    state.now = told;
    state.heardMs = Date.now();
    addSeconds(told.seconds || []);
    showState();
    showAlarms();
    showFigures();
    showRecords();
    root.dataset.looks = String(Number(root.dataset.looks || 0) + 1);
  }

  function onDesks(desks) {
    const isFirst = !state.desks.length;
    state.desks = desks;
    showDesks();
    if (isFirst) void quietly(loadExposures);
  }

  // Everything anew: at the beginning, and where the page was asleep or the observer away.
  async function loadAll() {
    await quietly(loadSeries);
    await quietly(async () => onNow(await ask("/data/now")));
    await quietly(async () => onDesks(await ask("/data/desks")));
    await quietly(loadExposures);
    await quietly(loadOpenOrders);
    await quietly(loadPositions);
  }

  function listen() {
    const events = new EventSource("/events");
    events.addEventListener("open", () => void loadAll());
    events.addEventListener("now", (event) => onNow(JSON.parse(event.data)));
    events.addEventListener("desks", (event) => onDesks(JSON.parse(event.data)));
    // Where the observer refuses (too many pages), a browser does not try again by itself.
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, SLOW_MS);
    });
  }

  for (const choice of document.querySelectorAll("input[name=span]")) {
    choice.addEventListener("change", () => { state.span = choice.value; void quietly(loadSeries); });
  }
  $("filter").addEventListener("input", showDesks);
  $("only-halted").addEventListener("change", showDesks);
  $("more-desks").addEventListener("click", () => { state.showAll = !state.showAll; showDesks(); });
  $("desk").addEventListener("change", () => void quietly(loadChosen));
  $("open-desk").addEventListener("change", () => void quietly(loadOpenOrders));
  $("position-desk").addEventListener("change", () => void quietly(loadPositions));
  const drawn = () => [charts.flow, charts.answers, charts.syncs, charts.sent, charts.chosen, ...[...charts.exposures.values()].map(({ chart }) => chart)].filter(Boolean);
  Charts.onChange(() => drawn().forEach((chart) => chart.redraw()), () => drawn().forEach((chart) => chart.resize()));
  setInterval(showState, 1000);
  setInterval(() => {
    if (document.hidden) return;
    const isBehind = Boolean(state.now && state.now.feed.behind_records > BEHIND);
    if (state.span === "minute" || isBehind || state.wasBehind) void quietly(loadSeries);
    state.wasBehind = isBehind;
    void quietly(loadExposures);
    void quietly(loadOpenOrders);
    void quietly(loadPositions);
  }, SLOW_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) void loadAll(); });
  listen();
})();
