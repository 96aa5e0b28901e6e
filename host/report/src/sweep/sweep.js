// The trial under the pointer or chosen by the arrow keys stands out, in the drawing and in the table; parts of axes choose trials;
// the table is sorted by any column.
"use strict";
(() => {
  document.documentElement.classList.add("script");
  const svg = document.querySelector("svg.parallel"), status = document.getElementById("chosen-trial");
  const table = document.querySelector("table.trials"), body = table.tBodies[0];
  const lines = new Map([...svg.querySelectorAll(".trial")].map((line) => [Number(line.dataset.trial), line]));
  const rows = new Map([...body.rows].map((row) => [Number(row.dataset.trial), row]));
  let chosen = null;

  const choose = (trial) => {
    for (const element of [lines.get(chosen), rows.get(chosen)]) element?.classList.remove("on");
    chosen = trial;
    for (const element of [lines.get(chosen), rows.get(chosen)]) element?.classList.add("on");
    svg.classList.toggle("chosen-one", lines.has(chosen));
    // The last of its group stands above the others.
    const line = lines.get(chosen);
    if (line) line.parentNode.append(line);
    status.textContent = chosen === null ? "" : "Trial " + rows.get(chosen).dataset.spoken;
  };
  const of = (target) => target.closest?.("[data-trial]");
  svg.addEventListener("pointerover", (event) => { const line = of(event.target); if (line) choose(Number(line.dataset.trial)); });
  svg.addEventListener("pointerleave", () => choose(null));
  body.addEventListener("pointerover", (event) => { const row = of(event.target); if (row) choose(Number(row.dataset.trial)); });
  body.addEventListener("pointerleave", () => choose(null));
  svg.addEventListener("focusout", () => choose(null));

  // Parts of axes: a trial is out if any axis has a part and it does not go through.
  const parts = new Map(), names = "http://www.w3.org/2000/svg";
  const points = new Map([...lines].map(([trial, line]) => {
    const found = [...line.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)];
    return [trial, new Map(found.map((point) => [Math.round(Number(point[1])), Number(point[2])]))];
  }));
  const says = [], filter = () => {
    for (const [trial, through] of points) {
      let out = false;
      for (const [x, [low, high]] of parts) {
        const at = through.get(x);
        out ||= at === undefined || at < low || at > high;
      }
      lines.get(trial).classList.toggle("out", out);
      rows.get(trial).classList.toggle("out", out);
    }
    for (const say of says) say();
  };
  const clear = () => {
    for (const brush of svg.querySelectorAll(".brush")) brush.remove();
    parts.clear();
    filter();
  };
  for (const axis of svg.querySelectorAll(".axis")) {
    const line = axis.querySelector("line"), x = Number(line.getAttribute("x1"));
    const [bottom, top] = ["y1", "y2"].map((name) => Number(line.getAttribute(name)));
    const rect = (kind, y, height) => {
      const made = document.createElementNS(names, "rect");
      for (const [name, value] of Object.entries({ class: kind, x: x - 9, y, width: 18, height })) made.setAttribute(name, value);
      axis.append(made);
      return made;
    };
    const handle = rect("handle", top - 4, bottom - top + 8), [first, last] = [top - 4, bottom + 4], column = Math.round(x);
    let from = null, brush = null;
    says.push(() => {
      const high = parts.get(column)?.[1] ?? last, shown = [...lines.values()].filter((line) => !line.classList.contains("out"));
      handle.setAttribute("aria-valuenow", Math.round(100 * (last - high) / (last - first)));
      handle.setAttribute("aria-valuetext", (parts.has(column) ? "a part: " : "all: ") + shown.length + " of " + lines.size + " trials shown");
    });
    // The part between two places. One that is next to nothing, or all of the axis, is none.
    const part = (low, high) => {
      const some = high - low > 3 && (low > first || high < last);
      if (some) parts.set(column, [low, high]); else parts.delete(column);
      if (some && !brush?.isConnected) {
        brush = rect("brush", low, 0);
        handle.before(brush);
      }
      if (!some) brush?.remove();
      brush?.setAttribute("y", low);
      brush?.setAttribute("height", high - low);
      filter();
    };
    const at = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      return Math.min(last, Math.max(first, point.y));
    };
    const name = axis.querySelector(".label title").textContent;
    for (const [key, value] of Object.entries({ tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": "part of " + name })) {
      handle.setAttribute(key, value);
    }
    axis.append(handle);
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      part(from, from);
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (from !== null) part(Math.min(from, at(event)), Math.max(from, at(event)));
    });
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => { from = null; });
    // Up cuts from below and Down from above; with Shift they give back what the other has cut.
    handle.addEventListener("keydown", (event) => {
      const up = event.key === "ArrowUp";
      if (!up && event.key !== "ArrowDown") return;
      event.preventDefault();
      event.stopPropagation();
      const step = (last - first) / 20, [low, high] = parts.get(column) ?? [first, last];
      const least = Math.max(step, 4);
      if (event.shiftKey) part(up ? Math.max(first, low - step) : low, up ? high : Math.min(last, high + step));
      else part(up ? low : Math.min(high - least, low + step), up ? Math.max(low + least, high - step) : high);
    });
  }

  filter();

  svg.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const order = [...points.keys()].sort((a, b) => a - b).filter((trial) => !lines.get(trial).classList.contains("out"));
    if (step && order.length > 0) {
      const place = order.indexOf(chosen);
      choose(order[place < 0 ? (step > 0 ? 0 : order.length - 1) : Math.min(order.length - 1, Math.max(0, place + step))]);
      event.preventDefault();
    } else if (event.key === "Home" || event.key === "End") {
      choose(order.at(event.key === "Home" ? 0 : -1) ?? null);
      event.preventDefault();
    } else if (event.key === "Escape") {
      choose(null);
      clear();
    }
  });

  // Empty cells stand last, whichever way it is sorted.
  const key = (row, column) => {
    const cell = row.cells[column], text = cell.dataset.sort ?? "";
    const number = { NaN: NaN, inf: Infinity, "-inf": -Infinity }[text] ?? (text === "" ? NaN : Number(text));
    return { empty: Number.isNaN(number) && text !== "" ? true : cell.textContent.trim() === "" || cell.textContent.trim() === "none", number, text: cell.textContent.trim() };
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sorted = [...body.rows].map((row) => [key(row, column), row]).sort(([one], [other]) => {
        if (one.empty !== other.empty) return one.empty ? 1 : -1;
        const both = Number.isFinite(one.number) || Number.isFinite(other.number);
        const order = both ? one.number - other.number : one.text.localeCompare(other.text);
        return up ? order : -order;
      });
      body.append(...sorted.map(([, row]) => row));
    });
  });
})();
