"use strict";
(() => {
  const value = (row, i) => {
    const cell = row.cells[i], raw = cell.dataset.v ?? cell.textContent.trim();
    const number = raw === "" ? NaN : Number(raw);
    return Number.isNaN(number) ? raw : number;
  };
  const order = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : null;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
  };
  const say = (words) => { document.getElementById("status").textContent = words; };

  for (const table of document.querySelectorAll("table[data-sort]")) {
    const heads = [...table.tHead.rows[0].cells], body = table.querySelector("tbody[data-rows]");
    if (!body || body.rows.length < 2) continue;
    heads.forEach((head, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.first ?? (head.classList.contains("num") ? "descending" : "ascending");
        const other = first === "ascending" ? "descending" : "ascending";
        const now = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", now);
        const sign = now === "ascending" ? 1 : -1;
        const rows = [...body.rows].sort((a, b) => {
          const x = value(a, i), y = value(b, i), found = order(x, y);
          return found === null ? (x === "" ? 1 : -1) : sign * found;
        });
        body.append(...rows);
        say(`Sorted by ${button.textContent}, ${now}.`);
      });
    });
  }

  const filter = document.getElementById("filter");
  const rows = [...document.querySelectorAll("tbody[data-rows] tr")];
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    let kept = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      kept += !row.hidden;
    }
    say(wanted ? `${kept} of ${rows.length} rows` : "");
  });
  document.getElementById("controls").hidden = rows.length < 2;
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
