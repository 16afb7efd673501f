// Whether every table has a caption, and every cell a heading in its row and in its column.
const isWhole = (table) => {
  const [head] = table.tHead.rows, rows = [...table.tBodies[0].rows];
  return table.caption.textContent !== "" && [...head.cells].every((cell) => cell.scope === "col") &&
    rows.every((row) => row.cells[0].scope === "row" && row.cells.length === head.cells.length);
};
return [...document.querySelectorAll("table")].map(isWhole);
