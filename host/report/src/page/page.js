// Draws the charts anew from the page's data whenever something is asked of them: other runs, time in place of steps, a log
// scale, a closer look, the values under the pointer. The elements have the classes of the drawing that came with the page.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const state = { hidden: new Set(), over: "steps", log: false, range: null };
  const height = 280, left = 58, right = 14, top = 14, bottom = 38;
  const over = document.getElementById("over"), log = document.getElementById("log"), whole = document.getElementById("whole");
  if (!over) return;

  // Numbers that JSON has not are texts.
  const numbers = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
  const number = (value) => (typeof value === "string" ? numbers[value] : value);
  for (const chart of data.charts)
    for (const series of chart.series) {
      series.values = series.values.map(number);
      series.seconds = series.seconds.map(number);
      if (series.best) series.best = { steps: number(series.best[0]), seconds: number(series.best[1]), value: number(series.best[2]) };
    }

  const trimmed = (value) => {
    if (!Number.isFinite(value)) return String(value);
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(4).replace(/\.?0*e\+?/, "e");
    return String(Number(value.toPrecision(5)));
  };
  const grouped = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e3 && size < 1e6) return trimmed(value / 1e3) + "k";
    if (size >= 1e6 && size < 1e9) return trimmed(value / 1e6) + "M";
    return size < 1e-300 ? "0" : trimmed(value);
  };
  const clock = (seconds) => {
    const all = Math.round(seconds), hours = Math.floor(all / 3600), minutes = Math.floor(all / 60) % 60;
    if (all < 60) return trimmed(seconds) + " s";
    return hours > 0 ? `${hours} h ${String(minutes).padStart(2, "0")} min` : `${minutes} min ${String(all % 60).padStart(2, "0")} s`;
  };
  const units = [[1, "seconds"], [60, "minutes"], [3600, "hours"], [86400, "days"]];

  const element = (parent, kind, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const one = (place) => Math.round(place * 10) / 10;

  // An axis as `axis.rs` has it. No difference is formed that could overflow.
  const axis = (low, high, from, to, margin, log) => {
    if (!(low <= high)) [low, high] = log ? [1, 10] : [0, 1];
    if (log) [low, high] = [Math.log10(low), Math.log10(high)];
    const keep = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
    if (low === high) {
      const around = log ? 0.1 : low === 0 ? 1 : Math.abs(low) * 0.1;
      [low, high] = [keep(low - around, low), keep(high + around, high)];
    } else {
      const free = (high / 2 - low / 2) * 2 * margin;
      [low, high] = [keep(low - free, low), keep(high + free, high)];
    }
    const length = high / 2 - low / 2;
    const part = (value) => (length > 0 ? (value / 2 - low / 2) / length : 0.5);
    return {
      place: (value) => from + part(log ? Math.log10(value) : value) * (to - from),
      value: (place) => low + ((place - from) / (to - from)) * (high - low),
      ticks: (count) => (log ? logTicks(low, high, count) : ticks(low, high, count)),
    };
  };
  const ticks = (low, high, count) => {
    const rough = (high - low) / count;
    if (!Number.isFinite(rough) || !(rough > 1e-307)) return [low, high];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough) ?? rough;
    const first = Math.ceil(low / step), found = [];
    for (let place = 0; place <= 2 * count; place++) {
      const tick = (first + place) * step;
      if (tick > high) break;
      if (Number.isFinite(tick)) found.push(tick);
    }
    return found;
  };
  const logTicks = (low, high, count) => {
    const found = [];
    const every = Math.max(1, Math.ceil((high - low) / (count + 1)));
    const within = high - low > 2.2 ? [1] : high - low > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    for (let decade = Math.floor(low); decade <= high; decade += every)
      for (const times of within) {
        const tick = Number((times * 10 ** decade).toPrecision(3));
        if (tick > 0 && Number.isFinite(tick) && Math.log10(tick) >= low && Math.log10(tick) <= high) found.push(tick);
      }
    // Within a small part of a decade round numbers are as good as those of a line.
    return found.length >= 2 ? found : ticks(10 ** low, 10 ** high, count).filter((tick) => tick > 0);
  };

  const shown = (chart) => chart.series.filter((series) => !state.hidden.has(series.run));
  // What all charts show of the axis of steps or time.
  const extent = () => {
    if (state.range) return state.range;
    let low = Infinity, high = -Infinity;
    for (const chart of data.charts)
      for (const series of shown(chart))
        for (const x of series[state.over]) if (Number.isFinite(x)) [low, high] = [Math.min(low, x), Math.max(high, x)];
    return [low < high * 0.3 ? 0 : low, high];
  };

  const views = new Map();
  const draw = (figure) => {
    const chart = data.charts[figure.dataset.chart], holder = figure.querySelector(".drawing");
    const width = Math.max(240, Math.round(holder.clientWidth) || 640);
    const [first, last] = extent();
    const drawable = (value) => Number.isFinite(value) && (!state.log || value > 0);
    let low = Infinity, high = -Infinity;
    for (const series of shown(chart))
      series.values.forEach((value, place) => {
        const x = series[state.over][place];
        if (x >= first && x <= last && drawable(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
      });
    const x = axis(first, last, left, width - right, 0, false), y = axis(low, high, height - bottom, top, 0.06, state.log);
    const old = holder.querySelector("svg"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, role: "slider", tabindex: "0", "aria-orientation": "horizontal" })) svg.setAttribute(name, value);
    svg.setAttribute("aria-label", old.getAttribute("aria-label"));

    const clip = `clip-${figure.dataset.chart}`;
    element(element(svg, "clipPath", { id: clip }), "rect", { x: left - 4, y: 4, width: width - left - right + 8, height: height - bottom });
    let above = Infinity;
    for (const tick of y.ticks(5)) {
      const at = one(y.place(tick));
      if (above - at < 14) continue;
      above = at;
      element(svg, "line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at });
      element(svg, "text", { class: "tick", x: left - 6, y: at + 4, "text-anchor": "end" }, short(tick));
    }
    const [unit, unitName] = state.over === "steps" ? [1, "optimizer steps"] : units.findLast(([unit]) => last >= 2 * unit) ?? units[0];
    const scaled = axis(first / unit, last / unit, left, width - right, 0, false);
    for (const tick of scaled.ticks(Math.max(2, Math.min(6, Math.floor(width / 90))))) {
      const at = one(scaled.place(tick));
      element(svg, "line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom });
      element(svg, "text", { class: "tick", x: at, y: height - bottom + 16, "text-anchor": "middle" }, short(tick));
    }
    const name = unit === 1 && state.over === "steps" ? unitName : `time of the run, ${unitName}`;
    element(svg, "text", { class: "tick", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, name);

    const inside = element(svg, "g", { "clip-path": `url(#${clip})` });
    for (const run of new Set(shown(chart).map((series) => series.run)))
      for (const mark of data.runs[run].marks) {
        const at = number(state.over === "steps" ? mark.step : mark.seconds);
        if (!(at >= first && at <= last)) continue;
        const place = one(x.place(at));
        const line = element(inside, "line", { class: `mark ${mark.kind} c${data.runs[run].colour}`, x1: place, x2: place, y1: top, y2: height - bottom });
        element(line, "title", {}, `${data.runs[run].label}: ${mark.text}`);
      }
    // Validations stand before the noise of training.
    for (const series of shown(chart).sort((a, b) => a.dotted - b.dotted)) curve(inside, series, x, y, first, last, drawable);
    views.set(figure, { x, first, last, width, svg });
    // Who does not see the chart goes along it by arrow keys and hears the values.
    const [low_end, high_end] = [first, last].map((end) => (Number.isFinite(end) ? end : 0));
    for (const [name, value] of [["min", low_end], ["max", high_end], ["now", (low_end + high_end) / 2]]) svg.setAttribute(`aria-value${name}`, one(value));
    svg.setAttribute("aria-valuetext", "no place chosen");
    // By itself: losing the focus would do it while the chart is being replaced.
    leave(figure);
    if (old === document.activeElement) { old.replaceWith(svg); svg.focus(); } else old.replaceWith(svg);
    listen(figure, svg);
  };

  const curve = (parent, series, x, y, first, last, drawable) => {
    const run = data.runs[series.run], xs = series[state.over];
    const group = element(parent, "g", { class: `curve c${run.colour} d${series.dash}${series.dotted ? " dotted" : ""}` });
    let path = "", down = false;
    const dots = [];
    series.values.forEach((value, place) => {
      const at = xs[place], within = at >= first && at <= last;
      if (!drawable(value)) {
        down = false;
        if (!within) return;
        const label = element(group, "text", { class: "odd", x: one(x.place(at)), y: value <= 0 ? height - bottom - 1 : top + 9, "text-anchor": "middle" }, "×");
        element(label, "title", {}, `${run.label}: ${series.name} is ${trimmed(value)} at step ${grouped(series.steps[place])}`);
        return;
      }
      const [px, py] = [one(x.place(at)), one(y.place(value))];
      path += `${down ? "L" : "M"}${px} ${py}`;
      const next = series.values[place + 1];
      const alone = !down && (next === undefined || !drawable(next));
      down = true;
      if (within) dots.push([px, py, alone]);
    });
    element(group, "path", { d: path });
    for (const [cx, cy, alone] of dots) if (alone || (series.dotted && dots.length <= 80)) element(group, "circle", { cx, cy, r: 2.6 });
    if (series.best && drawable(series.best.value)) {
      const star = element(group, "text", { class: "best", x: one(x.place(series.best[state.over])), y: one(y.place(series.best.value) + 6), "text-anchor": "middle" }, "★");
      element(star, "title", {}, `${run.label}: best ${series.name} ${trimmed(series.best.value)} at step ${grouped(series.best.steps)}`);
    }
  };

  const redraw = () => {
    figures.forEach(draw);
    whole.disabled = !state.range;
  };

  // The place of the point nearest to `at`; places ascend.
  const nearest = (xs, at) => {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < at) low = middle + 1; else high = middle;
    }
    return low > 0 && at - xs[low - 1] <= xs[low] - at ? low - 1 : low;
  };

  const leave = (figure) => {
    figure.querySelector(".tip")?.remove();
    figure.querySelector(".cursor")?.remove();
  };
  const look = (figure, at) => {
    leave(figure);
    const { x, svg, width } = views.get(figure), chart = data.charts[figure.dataset.chart];
    const lines = [];
    for (const series of shown(chart)) {
      if (series.values.length === 0) continue;
      const place = nearest(series[state.over], at);
      lines.push([series, place, series.values[place]]);
    }
    if (lines.length === 0) return;
    const px = one(x.place(at));
    element(svg, "line", { class: "cursor", x1: px, x2: px, y1: top, y2: height - bottom });
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("aria-hidden", "true");
    const head = document.createElement("div");
    head.className = "faint";
    head.textContent = state.over === "steps" ? `step ${grouped(Math.round(at))}` : clock(at);
    tip.append(head);
    for (const [series, place, value] of lines.slice(0, 16)) {
      const line = document.createElement("div"), swatch = document.createElement("span");
      swatch.className = `swatch c${data.runs[series.run].colour}`;
      const label = data.runs.length > 1 ? `${data.runs[series.run].label}, ${series.name}` : series.name;
      line.append(swatch, `${label}: `, Object.assign(document.createElement("strong"), { textContent: trimmed(value) }), ` at ${grouped(series.steps[place])}`);
      tip.append(line);
    }
    svg.setAttribute("aria-valuenow", one(at));
    svg.setAttribute("aria-valuetext", [...tip.childNodes].map((line) => line.textContent).join("; "));
    figure.querySelector(".drawing").append(tip);
    const part = px / width, holder = figure.querySelector(".drawing").clientWidth;
    if (part < 0.5) tip.style.left = `${part * holder + 12}px`; else tip.style.right = `${(1 - part) * holder + 12}px`;
    tip.style.maxWidth = `${Math.max(0.45, Math.max(part, 1 - part)) * holder - 16}px`;
  };

  const listen = (figure, svg) => {
    const view = views.get(figure);
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      const place = ((event.clientX - box.left) / box.width) * view.width;
      return view.x.value(Math.min(view.width - right, Math.max(left, place)));
    };
    let from = null, chosen = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      from = at(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const now = at(event);
      look(figure, now);
      if (from === null) return;
      chosen ??= element(svg, "rect", { class: "chosen", y: top, height: height - bottom - top });
      const [a, b] = [view.x.place(Math.min(from, now)), view.x.place(Math.max(from, now))];
      chosen.setAttribute("x", one(a));
      chosen.setAttribute("width", one(b - a));
    });
    svg.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const now = at(event), range = [Math.min(from, now), Math.max(from, now)];
      const wide = view.x.place(range[1]) - view.x.place(range[0]) > 6;
      from = null;
      leave(figure);
      if (wide) { state.range = range; redraw(); }
    });
    svg.addEventListener("pointercancel", () => { from = null; chosen?.remove(); chosen = null; });
    svg.addEventListener("pointerleave", () => { if (from === null) leave(figure); });
    svg.addEventListener("dblclick", () => { state.range = null; redraw(); });
    svg.addEventListener("blur", () => leave(figure));
    svg.addEventListener("keydown", (event) => {
      const middle = cursors.get(figure) ?? (view.first + view.last) / 2;
      const step = (view.last - view.first) / (event.shiftKey ? 10 : 50);
      const to = { ArrowRight: middle + step, ArrowLeft: middle - step, Home: view.first, End: view.last }[event.key];
      if (to !== undefined) {
        cursors.set(figure, Math.min(view.last, Math.max(view.first, to)));
        look(figure, cursors.get(figure));
        event.preventDefault();
      } else if ((event.key === "+" || event.key === "-") && !event.ctrlKey && !event.metaKey) {
        closer(middle, (view.last - view.first) * (event.key === "+" ? 0.25 : 1));
        cursors.set(figure, middle);
        look(figure, middle);
        event.preventDefault();
      } else if (event.key === "Escape") {
        cursors.delete(figure);
        leave(figure);
        if (state.range) { state.range = null; redraw(); }
      }
    });
  };
  // Where arrow keys have gone to in each chart.
  const cursors = new Map();
  // Shows so much on both sides of a place, as far as there is anything.
  const closer = (middle, half) => {
    const before = state.range;
    state.range = null;
    const [low, high] = extent(), range = [Math.max(low, middle - half), Math.min(high, middle + half)];
    const whole = range[0] <= low && range[1] >= high;
    if (!whole) state.range = range[1] - range[0] > (high - low) * 1e-4 ? range : before;
    redraw();
  };

  over.addEventListener("change", () => { state.over = over.value; state.range = null; cursors.clear(); redraw(); });
  log.addEventListener("change", () => { state.log = log.checked; redraw(); });
  whole.addEventListener("click", () => { state.range = null; redraw(); });
  for (const box of document.querySelectorAll("input[data-run]"))
    box.addEventListener("change", () => {
      if (box.checked) state.hidden.delete(Number(box.dataset.run)); else state.hidden.add(Number(box.dataset.run));
      redraw();
    });
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (width === document.documentElement.clientWidth) return;
    width = document.documentElement.clientWidth;
    redraw();
  });
  // On paper configs are open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details.config:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of closed) details.open = false; });
  document.documentElement.classList.add("script");
  redraw();
})();
