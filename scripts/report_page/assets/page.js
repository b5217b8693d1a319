// The page is complete without this script, except for the table of all trades and the read-out of the equity chart.
"use strict";
(() => {
  const errors = [];
  const byId = (id) => document.getElementById(id);
  const make = (tag, set = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(set)) {
      if (name in node && name !== "list") node[name] = value; else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const number = new Intl.NumberFormat("en-US");
  const dollars = (cents) => {
    const size = Math.abs(cents);
    return `${cents < 0 ? "-" : ""}$${number.format(Math.trunc(size / 100))}.${String(size % 100).padStart(2, "0")}`;
  };
  const wholeDollars = (usd) => `${usd < 0 ? "-" : ""}$${number.format(Math.abs(usd))}`;

  // Result of the page's own check, read by the tests.
  const report = (more) => {
    const found = { errors, charts: document.querySelectorAll("svg[role=img]").length, rows: 0, cents: 0, expected: 0, ...more };
    byId("selfcheck").textContent = JSON.stringify(found);
  };
  addEventListener("error", (event) => { errors.push(String(event.message)); report({}); });
  addEventListener("unhandledrejection", (event) => { errors.push(String(event.reason)); report({}); });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));

  // Columns.

  const KINDS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array, f32: Float32Array };

  async function decode(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    const columns = {};
    let offset = 0;
    for (const [name, kind] of packed.columns) {
      const size = packed.rows * KINDS[kind].BYTES_PER_ELEMENT;
      columns[name] = new KINDS[kind](buffer.slice(offset, offset + size));
      offset += size;
    }
    if (offset !== buffer.byteLength) throw new Error(`${buffer.byteLength - offset} bytes of the trades are left over`);
    return columns;
  }

  const clock = (minute) => `${String(Math.trunc(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

  // Fields of a row: label, text of a trade, value that sorts it, whether it is text.
  function fields(packed, of) {
    const premium = (i) => of.paid[i] * of.contracts[i] * 100;
    const share = (i) => of.net[i] / 100 / premium(i);
    const named = (column, names) => [(i) => String(packed[names][of[column][i]] ?? "?"), (i) => of[column][i], true];
    const plain = (column, digits = 0) => [(i) => of[column][i].toFixed(digits), (i) => of[column][i], false];
    return [
      ["entry, New York", (i) => `${packed.dates[of.date[i]]} ${clock(of.entry[i])}`, (i) => of.date[i] * 1440 + of.entry[i], true],
      ["seed", ...named("seed", "seeds").slice(0, 2), false],
      ["symbol", ...named("symbol", "symbols")],
      ["side", ...named("side", "sides")],
      ["strike", (i) => String(Math.round(of.strike[i] * 100) / 100), (i) => of.strike[i], false],
      ["setup", ...named("setup", "setups")],
      ["contracts", ...plain("contracts")],
      ["paid", ...plain("paid", 2)],
      ["sold", ...plain("sold", 2)],
      ["minutes", ...plain("held")],
      ["exit", ...named("reason", "reasons")],
      ["fees", (i) => (of.fees[i] / 100).toFixed(2), (i) => of.fees[i], false],
      ["net", (i) => dollars(of.net[i]), (i) => of.net[i], false],
      ["net/premium", (i) => `${(100 * share(i)).toFixed(1)}%`, share, false],
    ];
  }

  // Explorer.

  const ROW = 28;
  const SPARE = 8;

  function explore(packed, of) {
    const grid = byId("grid"), summary = byId("summary"), shown = fields(packed, of);
    const state = { column: 0, down: false, rows: new Uint32Array(packed.rows).map((_, i) => i) };
    const heads = shown.map(([label, , , text], column) => {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", () => {
        state.down = state.column === column ? !state.down : !shown[column][3];
        state.column = column;
        sort();
      });
      return make("div", { role: "columnheader", className: text ? "text" : "" }, button);
    });
    const body = make("div", { className: "body", role: "rowgroup" });
    const head = make("div", { role: "rowgroup" }, make("div", { className: "row head", role: "row", "aria-rowindex": "1" }, ...heads));
    grid.append(head, body);
    head.style.cssText = "position:sticky;top:0;z-index:1";
    const pool = new Map();

    function draw() {
      const first = Math.max(0, Math.floor(grid.scrollTop / ROW) - SPARE);
      const last = Math.min(state.rows.length, first + Math.ceil(grid.clientHeight / ROW) + 2 * SPARE);
      for (const [at, node] of pool) if (at < first || at >= last) { node.remove(); pool.delete(at); }
      for (let at = first; at < last; at++) {
        if (pool.has(at)) continue;
        const i = state.rows[at];
        const cells = shown.map(([label, text, , left]) => {
          const money = label === "net" ? (of.net[i] < 0 ? "loss" : "gain") : "";
          return make("span", { role: "cell", className: left ? "text" : money, textContent: text(i) });
        });
        const row = make("div", { className: "row", role: "row", "aria-rowindex": String(at + 2) }, ...cells);
        row.style.top = `${at * ROW}px`;
        body.append(row);
        pool.set(at, row);
      }
    }

    function refresh() {
      pool.forEach((node) => node.remove());
      pool.clear();
      body.style.height = `${state.rows.length * ROW}px`;
      grid.setAttribute("aria-rowcount", String(state.rows.length + 1));
      heads.forEach((node, column) => {
        const own = column === state.column;
        node.setAttribute("aria-sort", own ? (state.down ? "descending" : "ascending") : "none");
        node.firstChild.textContent = shown[column][0] + (own ? (state.down ? " ▼" : " ▲") : "");
      });
      draw();
    }

    function sort() {
      const value = shown[state.column][2], keys = new Float64Array(packed.rows);
      for (const i of state.rows) keys[i] = value(i);
      const sign = state.down ? -1 : 1;
      state.rows.sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
      grid.scrollTop = 0;
      refresh();
    }

    function say() {
      let cents = 0, wins = 0, premium = 0;
      for (const i of state.rows) {
        cents += of.net[i];
        wins += of.net[i] > 0;
        premium += of.paid[i] * of.contracts[i] * 100;
      }
      const count = state.rows.length;
      const share = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(1)}%` : "–");
      summary.textContent = `${number.format(count)} of ${number.format(packed.rows)} trades: net ${dollars(cents)}` +
        (count > 0 ? `, ${dollars(Math.round(cents / count))} a trade, ${share(cents / 100, premium)} of the premium, ${share(wins, count)} won` : "");
    }

    const keep = filters(packed, of, () => {
      const rows = [];
      for (let i = 0; i < packed.rows; i++) if (keep(i)) rows.push(i);
      state.rows = Uint32Array.from(rows);
      say();
      sort();
    }, () => csv(shown, state.rows));
    let waiting = false;
    grid.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    });
    grid.addEventListener("keydown", (event) => {
      const page = grid.clientHeight - 2 * ROW;
      const move = { ArrowDown: ROW, ArrowUp: -ROW, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 }[event.key];
      if (move === undefined || event.target !== grid) return;
      event.preventDefault();
      grid.scrollTop += move;
    });
    byId("explorer").hidden = false;
    say();
    sort();
  }

  // Builds the filters and returns the test of a trade.
  function filters(packed, of, changed, download) {
    const box = byId("filters"), tests = new Map();
    const add = (label, control, test) => {
      control.addEventListener("input", () => { tests.set(label, test(control.value)); changed(); });
      box.append(make("label", {}, label, control));
    };
    const choice = (label, column, names) => {
      if (names.length < 2) return;
      const options = names.map((name, at) => make("option", { value: String(at), textContent: String(name) }));
      const control = make("select", {}, make("option", { value: "", textContent: "all" }), ...options);
      add(label, control, (value) => (value === "" ? null : (i) => of[column][i] === Number(value)));
    };
    choice("Symbol", "symbol", packed.symbols);
    choice("Side", "side", packed.sides);
    choice("Setup", "setup", packed.setups);
    choice("Exit", "reason", packed.reasons);
    choice("Seed", "seed", packed.seeds);
    const result = make("select", {}, ...[["", "all"], ["1", "gains"], ["-1", "losses"]].map(([value, text]) => make("option", { value, textContent: text })));
    add("Result", result, (value) => (value === "" ? null : (i) => Math.sign(of.net[i]) === Number(value)));
    const date = (label, test) => {
      const control = make("input", { type: "date", min: packed.dates[0], max: packed.dates[packed.dates.length - 1] });
      add(label, control, (value) => (value === "" ? null : (i) => test(packed.dates[of.date[i]], value)));
    };
    date("From", (of, end) => of >= end);
    date("To", (of, end) => of <= end);
    const button = make("button", { type: "button", textContent: "Save as CSV" });
    button.addEventListener("click", download);
    box.append(button);
    return (i) => {
      for (const test of tests.values()) if (test && !test(i)) return false;
      return true;
    };
  }

  function csv(shown, rows) {
    const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text);
    const lines = [shown.map(([label]) => quoted(label)).join(",")];
    for (const i of rows) lines.push(shown.map(([, text]) => quoted(text(i)).replaceAll("$", "")).join(","));
    const link = make("a", { href: URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" })), download: "trades.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // Read-out of the equity chart under the pointer.
  function readOut() {
    const holder = byId("equity-chart"), source = byId("equity-data");
    const svg = holder && holder.querySelector("svg");
    if (!svg || !source) return;
    const { dates, equity, pnl, drawdown } = JSON.parse(source.textContent);
    const figure = svg.closest("figure"), box = make("div", { id: "readout", hidden: true });
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const [, , , height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const [left, right] = [Number(svg.dataset.left), Number(svg.dataset.right)];
    for (const [name, value] of Object.entries({ class: "zero", y1: 12, y2: height - 26, visibility: "hidden" })) line.setAttribute(name, value);
    svg.append(line);
    figure.append(box);
    svg.addEventListener("pointermove", (event) => {
      const area = svg.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width * 880;
      const at = Math.round((x - left) / (right - left) * (dates.length - 1));
      const inside = at >= 0 && at < dates.length;
      box.hidden = !inside;
      line.setAttribute("visibility", inside ? "visible" : "hidden");
      if (!inside) return;
      const place = left + at / Math.max(1, dates.length - 1) * (right - left);
      line.setAttribute("x1", place);
      line.setAttribute("x2", place);
      box.textContent = `${dates[at]}  P&L ${wholeDollars(pnl[at])}  total ${wholeDollars(equity[at])}  below peak ${wholeDollars(drawdown[at])}`;
      const outer = figure.getBoundingClientRect();
      const free = outer.width - box.offsetWidth;
      box.style.left = `${Math.max(0, Math.min(free, event.clientX - outer.left - box.offsetWidth / 2))}px`;
      box.style.top = `${area.top - outer.top + 14}px`;
    });
    svg.addEventListener("pointerleave", () => { box.hidden = true; line.setAttribute("visibility", "hidden"); });
  }

  async function start() {
    readOut();
    const source = byId("trades-data");
    if (!source) return report({});
    const packed = JSON.parse(source.textContent);
    const columns = await decode(packed);
    const cents = columns.net.reduce((sum, net) => sum + net, 0);
    if (cents !== packed.cents) errors.push(`the trades sum to ${cents} cents, the sessions to ${packed.cents}`);
    explore(packed, columns);
    report({ rows: columns.net.length, cents, expected: packed.cents });
  }

  start().catch((error) => { errors.push(String(error)); report({}); });
})();
