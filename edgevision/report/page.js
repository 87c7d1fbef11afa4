"use strict";
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    const key = (row) => row.children[head.cellIndex].dataset.key;
    const rows = Array.from(body.rows);
    const numbers = rows.every((row) => key(row) !== "" && !Number.isNaN(Number(key(row))));
    rows.sort((a, b) => turn * (numbers ? Number(key(a)) - Number(key(b)) : key(a).localeCompare(key(b))));
    body.append(...rows);
  });
}
