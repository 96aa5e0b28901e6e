// Lets the tables be sorted, the sentences be searched and gone through word by word, and the vocabularies be searched.
"use strict";
(() => {
  const spoken = document.getElementById("spoken");
  const grouped = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

  // Sorting. The value of a cell is its number where it has one, else its text.
  const value = (row, place, numbers) => {
    const cell = row.cells[place];
    return numbers ? Number(cell.dataset.v) : cell.textContent.trim();
  };
  const sort = (table, heading, ascending) => {
    const place = heading.cellIndex, numbers = heading.dataset.sort === "number", body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [value(row, place, numbers), row]);
    keyed.sort(([a], [b]) => {
      const order = numbers ? (a < b ? -1 : a > b ? 1 : 0) : a.localeCompare(b);
      return ascending ? order : -order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...keyed.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable"))
    for (const heading of table.tHead.rows[0].cells) {
      if (!heading.dataset.sort) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        // Numbers from the largest, texts and places in the corpus from the first.
        const first = heading.dataset.sort === "text" || button.textContent === "Pair" || button.textContent === "Rank";
        sort(table, heading, now ? now === "descending" : first);
        spoken.textContent = `Sorted by ${button.textContent}, ${heading.getAttribute("aria-sort")}.`;
      });
    }

  // Filtering sentences by their words and by why they are there.
  const filter = document.getElementById("filter");
  if (filter) {
    const rows = [...document.querySelectorAll("table.sentences tbody tr")];
    const chosen = document.getElementById("chosen"), matches = document.getElementById("matches");
    const texts = rows.map((row) => row.cells[row.cells.length - 1].textContent.toLowerCase());
    const apply = () => {
      const wanted = filter.value.trim().toLowerCase(), kind = chosen ? chosen.value : "";
      let count = 0;
      rows.forEach((row, place) => {
        const fits = texts[place].includes(wanted) && (kind === "" || row.dataset.chosen.split(" ").includes(kind));
        row.hidden = !fits;
        if (fits) count += 1;
      });
      matches.textContent = `${grouped(count)} of ${grouped(rows.length)} sentences`;
      rove();
    };
    filter.addEventListener("input", apply);
    if (chosen) chosen.addEventListener("change", apply);

    // Words: one of them is reached by Tab, the others from there by arrow keys.
    const table = document.querySelector("table.sentences");
    const wordsOf = (row) => [...row.querySelectorAll(".target > [title], .target > [data-tip]")];
    let current = null, tip = null;
    const hide = () => { tip?.remove(); tip = null; };
    const show = (word) => {
      hide();
      // The browser's own would come late and stay away from the keyboard.
      if (word.title) {
        word.dataset.tip = word.title;
        word.setAttribute("aria-description", word.title);
        word.removeAttribute("title");
      }
      tip = document.createElement("div");
      tip.className = "word-tip";
      tip.setAttribute("aria-hidden", "true");
      const text = document.createElement("bdi");
      text.textContent = word.textContent;
      tip.append(text, `: ${word.dataset.tip}`);
      document.body.append(tip);
      const box = word.getClientRects()[0] ?? word.getBoundingClientRect();
      const left = Math.max(4, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 4));
      const above = box.top - tip.offsetHeight - 4;
      tip.style.left = `${left + scrollX}px`;
      tip.style.top = `${(above < 0 ? box.bottom + 4 : above) + scrollY}px`;
    };
    const choose = (word) => {
      if (current) current.tabIndex = -1;
      current = word;
      if (word) word.tabIndex = 0;
    };
    // The word that Tab reaches is one that is shown.
    const rove = () => {
      if (current && !current.closest("tr").hidden) return;
      for (const row of table.tBodies[0].rows) {
        const words = row.hidden ? [] : wordsOf(row);
        if (words.length > 0) { choose(words[0]); return; }
      }
      choose(null);
    };
    table.addEventListener("focusin", (event) => {
      const word = event.target.closest(".target > [title], .target > [data-tip]");
      if (!word) return;
      show(word);
      spoken.textContent = `${word.textContent}: ${word.dataset.tip}`;
    });
    table.addEventListener("focusout", hide);
    table.addEventListener("pointerover", (event) => {
      const word = event.target.closest(".target > [title], .target > [data-tip]");
      if (word) show(word); else if (!table.contains(document.activeElement)) hide();
    });
    table.addEventListener("pointerleave", hide);
    table.addEventListener("click", (event) => {
      const word = event.target.closest(".target > [title], .target > [data-tip]");
      if (word && getSelection().isCollapsed) { choose(word); word.focus(); }
    });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    const beside = (row, step) => {
      do row = step > 0 ? row.nextElementSibling : row.previousElementSibling; while (row && (row.hidden || wordsOf(row).length === 0));
      return row;
    };
    table.addEventListener("keydown", (event) => {
      if (event.target !== current || event.ctrlKey || event.altKey || event.metaKey) return;
      const row = current.closest("tr"), words = wordsOf(row), place = words.indexOf(current);
      const onwards = getComputedStyle(current.parentElement).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
      let next;
      switch (event.key) {
        case "ArrowLeft": case "ArrowRight": next = words[place + (event.key === onwards ? 1 : -1)]; break;
        case "Home": next = words[0]; break;
        case "End": next = words[words.length - 1]; break;
        case "ArrowDown": case "ArrowUp": { const other = beside(row, event.key === "ArrowDown" ? 1 : -1); next = other && wordsOf(other)[0]; break; }
        default: return;
      }
      event.preventDefault();
      if (next) { choose(next); next.focus(); }
    });
    rove();
  }

  // Searching a vocabulary.
  const vocabulary = JSON.parse(document.getElementById("vocabulary").textContent);
  const most = 60;
  for (const search of document.querySelectorAll(".search")) {
    const words = vocabulary[search.dataset.vocabulary], input = search.querySelector("input");
    const lower = words.map((word) => word.toLowerCase());
    const found = search.querySelector(".found"), list = search.querySelector("ol");
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      list.replaceChildren();
      if (wanted === "") { found.textContent = ""; return; }
      let count = 0;
      // The word itself stands before those that it is a part of.
      const places = [];
      lower.forEach((word, place) => {
        if (!word.includes(wanted)) return;
        count += 1;
        if (word === wanted) places.unshift(place); else if (places.length < most) places.push(place);
      });
      for (const place of places.slice(0, most)) {
        const item = document.createElement("li"), text = document.createElement("bdi");
        item.dataset.rank = grouped(place + 1);
        text.textContent = words[place];
        item.append(text);
        list.append(item);
      }
      found.textContent = count === 0 ? "No entry has it." : `${grouped(count)} entries have it${count > most ? `; the ${most} most frequent` : ""}, each with its rank.`;
    });
  }
  document.documentElement.classList.add("script");
})();
