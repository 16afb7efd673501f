// What is wider than the window, sticks out of its drawing, or runs into its neighbour; once it has been drawn anew.
const look = () => {
  const bad = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) bad.push(`the page is ${wide} wide`);
  for (const row of document.querySelectorAll("[role=treeitem]")) {
    const chart = row.ownerSVGElement.getBoundingClientRect();
    const texts = [...row.querySelectorAll("text:not(.flagtext)")].map((one) => [one.textContent, one.getBoundingClientRect()]);
    texts.forEach(([text, box], at) => {
      if (box.left < chart.left - 1 || box.right > chart.right + 1) bad.push(`${text} sticks out`);
      for (const [other, next] of texts.slice(at + 1)) {
        if (box.right > next.left && next.right > box.left) bad.push(`${text} runs into ${other}`);
      }
    });
  }
  return bad;
};
return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(look()))));
