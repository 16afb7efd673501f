// How wide the drawings are, and what is cut off of them.
const charts = [...document.querySelectorAll(".chart svg")].map((one) => [one, one.getBoundingClientRect()]);
const cut = charts.flatMap(([chart, box]) => [...chart.querySelectorAll("text, rect")].filter((one) => {
  const { left, right, bottom } = one.getBoundingClientRect();
  return left < box.left - 1 || right > box.right + 1 || bottom > box.bottom + 1;
})).map((one) => one.outerHTML);
return [Math.max(...charts.map(([, box]) => Math.round(box.width))), cut];
