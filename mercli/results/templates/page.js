"use strict";
(() => {
  const root = document.documentElement;

  const scheme = document.createElement("button");
  scheme.className = "scheme";
  scheme.type = "button";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const other = () => ((chosen ?? (system.matches ? "dark" : "light")) === "dark" ? "light" : "dark");
  const label = () => {
    scheme.textContent = other() === "dark" ? "Dark" : "Light";
    scheme.setAttribute("aria-label", `${scheme.textContent} colours`);
  };
  scheme.addEventListener("click", () => {
    root.style.colorScheme = chosen = other();
    label();
  });
  system.addEventListener("change", label);
  label();
  document.querySelector(".masthead").append(scheme);

  const number = (text) => parseFloat(text.replace("−", "-").replace(/^</, ""));
  const order = (column, figures) => (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[column].textContent.trim());
    if (!figures) return a.localeCompare(b, "en");
    return number(a) - number(b);
  };
  const sort = (table, column, figures, falling) => {
    const rows = [...table.tBodies[0].rows];
    const absent = (row) => figures && Number.isNaN(number(row.cells[column].textContent));
    const there = rows.filter((row) => !absent(row)).sort(order(column, figures));
    if (falling) there.reverse();
    table.tBodies[0].append(...there, ...rows.filter(absent)); // what is undefined stays last
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        sort(table, head.cellIndex, head.classList.contains("n"), falling);
      });
    }
  }
})();
