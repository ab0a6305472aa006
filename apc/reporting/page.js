
"use strict";
function number(text) {
  const found = text.replace(/\u2212/g, "-").match(/[-+]?\d+(\.\d+)?/);
  return found ? Number(found[0]) : NaN;
}
function compare(a, b) {
  const x = number(a), y = number(b);
  if (isNaN(x) && isNaN(y)) return a.localeCompare(b);
  return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
}
function sort(head) {
  const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = Array.from(body.rows);
  rows.sort((a, b) => (down ? -1 : 1) * compare(a.cells[at].textContent.trim(), b.cells[at].textContent.trim()));
  body.append(...rows);
}
for (const head of document.querySelectorAll("thead th")) {
  head.setAttribute("aria-sort", "none");
  head.tabIndex = 0;
  head.addEventListener("click", () => sort(head));
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(head); });
}
function open() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target; fold; fold = fold.parentElement) if (fold.tagName === "DETAILS") fold.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", open);
open();
