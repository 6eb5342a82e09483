/* The page's panels: the points of the figures, drawn anew as the reader chooses. Nothing is fetched; without this script the
 * figures beside it stay as they are. */
"use strict";
(function () {
  const NS = "http://www.w3.org/2000/svg", W = 860, H = 430, LEFT = 64, RIGHT = 14, TOP = 10, BOTTOM = 46;
  const data = JSON.parse(document.getElementById("points").textContent);
  const tag = (name, attributes, parent) => {
    const e = document.createElementNS(NS, name);
    for (const k in attributes) e.setAttribute(k, attributes[k]);
    if (parent) parent.appendChild(e);
    return e;
  };
  const html = (name, text, parent) => {
    const e = document.createElement(name);
    if (text) e.textContent = text;
    if (parent) parent.appendChild(e);
    return e;
  };
  const shown = (v) => {
    if (v === 0) return "0";
    const a = Math.abs(v);
    return a >= 1e6 || a < 1e-3 ? v.toExponential(2) : String(Number(v.toPrecision(4)));
  };

  /* Marks of an axis: 1, 2 or 5 times a power of ten; of a logarithmic one powers of ten, between them where there are few. */
  function ticks(low, high, log) {
    const out = [];
    if (log) {
      const wide = Math.log10(high / low) > 3 ? [1] : Math.log10(high / low) > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
        for (const m of wide) if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001) out.push(m * 10 ** e);
      const every = Math.ceil(out.length / 9);
      return out.filter((v, i) => i % every === 0);
    }
    const rough = (high - low) / 7 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
    for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step)
      out.push(Math.abs(v) < step / 1e6 ? 0 : v);
    return out;
  }

  function scale(values, log, from, to) {
    let low = Infinity, high = -Infinity;
    for (const v of values) if (!log || v > 0) { if (v < low) low = v; if (v > high) high = v; }
    if (low > high) return null;
    if (low === high) { low -= log ? low / 2 : 0.5; high += log ? high : 0.5; }
    const f = log ? Math.log : (v) => v, a = f(low), b = f(high), pad = (b - a) * 0.03;
    const at = (v) => from + ((f(v) - a + pad) / (b - a + 2 * pad)) * (to - from);
    return { at, low, high, log };
  }

  /* A marker as a path about 0,0; the same order of shapes as in the figures. */
  const SHAPES = ["M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0", "M-3,-3h6v6h-6z", "M0,-4l4,7h-8z", "M0,-4l4,4l-4,4l-4,-4z",
    "M0,4l4,-7h-8z", "M-1,-4h2v3h3v2h-3v3h-2v-3h-3v-2h3z", "M-3,-4l3,2l3,-2l1,1l-2,3l2,3l-1,1l-3,-2l-3,2l-1,-1l2,-3l-2,-3z",
    "M0,-5l1.5,3.5h3.5l-3,2.2l1.2,3.8l-3.2,-2.4l-3.2,2.4l1.2,-3.8l-3,-2.2h3.5z",
    "M-4,0l7,-4v8z", "M4,0l-7,-4v8z"];
  const DASHES = ["", "7 3", "8 3 2 3", "2 3", "6 2 1 2 1 2", "10 4", "1 2", "4 3 1 3"];
  const look = (style) => ({
    colour: data.colours[style % data.colours.length], shape: SHAPES[style % SHAPES.length],
    dash: DASHES[(style + Math.floor(style / data.colours.length)) % DASHES.length]
  });

  function panel(root, group) {
    const bar = html("div", "", root), legend = html("div", "", root), box = html("div", "", root), tip = html("div", "", root);
    const svg = tag("svg", { viewBox: `0 0 ${W} ${H}`, role: "img" }, box), hidden = new Set();
    bar.className = "bar"; legend.className = "legend"; tip.className = "tip"; tip.hidden = true;
    const choice = (text, options) => {
      const label = html("label", text + " ", bar), select = html("select", "", label);
      for (const o of options) html("option", o, select).value = o;
      select.addEventListener("change", draw);
      return select;
    };
    const flag = (text, on) => {
      const label = html("label", "", bar), input = html("input", "", label);
      input.type = "checkbox"; input.checked = on; label.append(" " + text);
      input.addEventListener("change", draw);
      return input;
    };
    const unique = (key) => [...new Set(group.plots.map((p) => p[key]))];
    const what = choice("show", unique("what")), axis = choice("against", unique("axis"));
    const logx = flag("log x", group.plots[0].log), logy = flag("log y", false), band = flag("seeds' range", true);
    html("span", "click a method to hide it, twice to see it alone", bar).style.color = "#666";
    let now = null;
    what.addEventListener("change", () => { if (now.plot.kind === "step") { logx.checked = now.plot.log; draw(); } });

    const visible = () => now.plot.lines.filter((l) => !hidden.has(l.label));
    const toggle = (label) => (hidden.has(label) ? hidden.delete(label) : hidden.add(label));
    legend.addEventListener("click", (e) => {
      const b = e.target.closest("button");
      if (b) { toggle(b.value); draw(); }
    });
    legend.addEventListener("dblclick", (e) => {
      const b = e.target.closest("button"), others = now.plot.lines.filter((l) => !b || l.label !== b.value);
      if (!b) return;
      const alone = others.every((l) => hidden.has(l.label));
      for (const l of others) alone ? hidden.delete(l.label) : hidden.add(l.label);
      hidden.delete(b.value);
      draw();
    });
    /* The buttons stay while the methods do: a keyboard keeps its place. */
    function legends(plot) {
      if (plot.lines.map((l) => l.label).join("\n") !== [...legend.children].map((b) => b.value).join("\n")) {
        legend.textContent = "";
        for (const l of plot.lines) {
          const b = html("button", "", legend), key = tag("svg", { viewBox: "0 0 36 12" }, b), k = look(l.style);
          b.type = "button"; b.value = l.label;
          tag("path", { d: "M1,6H35", stroke: k.colour, "stroke-width": 2, "stroke-dasharray": k.dash }, key);
          tag("path", { d: k.shape, fill: k.colour, transform: "translate(18,6)" }, key);
          b.append(l.label);
        }
      }
      for (const b of legend.children) b.setAttribute("aria-pressed", String(!hidden.has(b.value)));
    }

    function axes(plot, x, y) {
      for (const v of ticks(y.low, y.high, y.log)) {
        tag("path", { d: `M${LEFT},${y.at(v)}H${W - RIGHT}`, stroke: "#e4e4e4" }, svg);
        tag("text", { x: LEFT - 6, y: y.at(v) + 4, "text-anchor": "end" }, svg).textContent = shown(v);
      }
      for (const v of ticks(x.low, x.high, x.log)) {
        tag("path", { d: `M${x.at(v)},${TOP}V${H - BOTTOM}`, stroke: "#e4e4e4" }, svg);
        tag("text", { x: x.at(v), y: H - BOTTOM + 17, "text-anchor": "middle" }, svg).textContent = shown(v);
      }
      tag("path", { d: `M${LEFT},${TOP}V${H - BOTTOM}H${W - RIGHT}`, stroke: "#555", fill: "none" }, svg);
      tag("text", { x: (LEFT + W - RIGHT) / 2, y: H - 8, "text-anchor": "middle" }, svg).textContent = plot.x;
      const turned = `translate(14,${(TOP + H - BOTTOM) / 2}) rotate(-90)`;
      tag("text", { transform: turned, "text-anchor": "middle" }, svg).textContent = plot.y;
    }

    function curve(plot, l, x, y) {
      const k = look(l.style), step = plot.kind === "step", every = Math.max(1, Math.ceil(l.points.length / 8));
      const points = l.points.filter((p) => (!x.log || p[0] > 0) && (!y.log || p[1] > 0));
      if (!points.length) return;
      if (band.checked && !step && l.seeds > 1) {
        const floor = (v) => (y.log && v <= 0 ? y.low : v);
        const edge = (k) => points.map((p) => `${x.at(p[0])},${y.at(floor(p[k]))}`), up = edge(3), down = edge(2);
        tag("path", { d: `M${up.join("L")}L${down.reverse().join("L")}Z`, fill: k.colour, "fill-opacity": 0.13 }, svg);
      }
      const to = (i) => (i === 0 ? "M" : step ? "H" : "L"), then = (i) => (i && step ? "V" : ",");
      const d = points.map((p, i) => `${to(i)}${x.at(p[0])}${then(i)}${y.at(p[1])}`).join("");
      tag("path", { d, fill: "none", stroke: k.colour, "stroke-width": 1.8, "stroke-dasharray": k.dash, class: "curve" }, svg);
      points.forEach((p, i) => {
        const place = `translate(${x.at(p[0])},${y.at(p[1])})`;
        if (i % every === l.style % every) tag("path", { d: k.shape, fill: k.colour, transform: place }, svg);
      });
    }

    function draw() {
      let plot = group.plots.find((p) => p.what === what.value && p.axis === axis.value);
      for (const o of axis.options) o.disabled = !group.plots.some((p) => p.what === what.value && p.axis === o.value);
      if (!plot) { plot = group.plots.find((p) => p.what === what.value); axis.value = plot.axis; }
      now = { plot };
      legends(plot);
      svg.textContent = ""; tip.hidden = true;
      const lines = visible(), all = lines.flatMap((l) => l.points);
      const x = scale(all.map((p) => p[0]), logx.checked, LEFT, W - RIGHT);
      const ys = all.filter((p) => !logx.checked || p[0] > 0);
      const spread = band.checked && plot.kind !== "step" ? (p) => [p[1], p[2], p[3]] : (p) => [p[1]];
      const y = scale(ys.flatMap(spread), logy.checked, H - BOTTOM, TOP);
      svg.setAttribute("aria-label", plot.title);
      if (!x || !y) {
        tag("text", { x: W / 2, y: H / 2, "text-anchor": "middle" }, svg).textContent = "nothing to show";
        return;
      }
      axes(plot, x, y);
      for (const l of lines) curve(plot, l, x, y);
      now = { plot, x, y, cross: tag("path", { stroke: "#888", "stroke-dasharray": "3 3", fill: "none" }, svg) };
    }

    /* At the point whose x is nearest; of each line its own nearest one, of a step the last before it. */
    function hover(event) {
      if (!now || !now.x) return;
      const area = svg.getBoundingClientRect(), px = ((event.clientX - area.left) / area.width) * W;
      const rows = [], step = now.plot.kind === "step";
      let best = null;
      for (const l of visible()) for (const p of l.points) {
        if (now.x.log && p[0] <= 0) continue;
        const off = Math.abs(now.x.at(p[0]) - px);
        if (!best || off < best.off) best = { off, x: p[0] };
      }
      if (!best || best.off > 60) { leave(); return; }
      const away = (p) => Math.abs(now.x.at(p[0]) - now.x.at(best.x));
      for (const l of visible()) {
        let p = null;
        for (const q of l.points) if (step ? q[0] <= best.x : !p || away(q) < away(p)) p = q;
        if (p) rows.push({ l, p });
      }
      rows.sort((a, b) => b.p[1] - a.p[1]);
      now.cross.setAttribute("d", `M${now.x.at(best.x)},${TOP}V${H - BOTTOM}`);
      tip.textContent = "";
      html("b", `${now.plot.x} ${shown(best.x)}`, tip);
      const table = html("table", "", tip);
      for (const { l, p } of rows) {
        const tr = html("tr", "", table), name = html("td", "● ", tr);
        name.style.color = look(l.style).colour;
        html("span", l.label, name).style.color = "#1a1a1a";
        html("td", shown(p[1]), tr);
        const range = l.seeds > 1 && !step ? `${shown(p[2])} to ${shown(p[3])}` : "";
        html("td", range + (!step && p[0] !== best.x ? ` at ${shown(p[0])}` : ""), tr);
      }
      tip.hidden = false;
      const left = (now.x.at(best.x) / W) * area.width, right = left > area.width * 0.55;
      tip.style.left = right ? "" : `${left + 14}px`;
      tip.style.right = right ? `${area.width - left + 14}px` : "";
      /* Where the lines are not. */
      const high = rows.reduce((sum, r) => sum + now.y.at(r.p[1]), 0) / rows.length < (TOP + H - BOTTOM) / 2;
      tip.style.top = high ? "" : `${box.offsetTop + 16}px`;
      tip.style.bottom = high ? `${(BOTTOM / W) * area.width + 12}px` : "";
    }
    function leave() {
      tip.hidden = true;
      if (now && now.cross) now.cross.setAttribute("d", "M0,0");
    }
    svg.addEventListener("pointermove", hover);
    svg.addEventListener("pointerleave", leave);
    draw();
  }

  data.groups.forEach((group, i) => {
    const root = document.getElementById("panel-" + i), still = document.getElementById("still-" + i);
    const fold = document.createElement("details");
    html("summary", "the same as figures (PDF, SVG, CSV and caption lie beside this page)", fold);
    still.replaceWith(fold);
    fold.appendChild(still);
    panel(root, group);
  });
})();
