// Where each drawing begins, and where its lines of round times are, once they have been drawn anew.
const look = () => [...document.querySelectorAll(".chart")].map((chart) => {
  const { left, top } = chart.getBoundingClientRect();
  const lines = [...chart.querySelectorAll("line.grid")].map((line) => Math.round(line.getBoundingClientRect().left - left));
  return { top, lines };
});
return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(look()))));
