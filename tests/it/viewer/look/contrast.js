// What has too little contrast, by WCAG's formula: 4.5 for text, 3 for what has to be seen. Also how much was looked at, and the ground.
const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = parts(colour).slice(0, 3).map((c) => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (a, b) => {
  const [high, low] = [light(a), light(b)].sort((p, q) => q - p);
  return (high + 0.05) / (low + 0.05);
};
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (parts(colour)[3] !== 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const bad = [];
const check = (what, a, b, least) => {
  const found = ratio(a, b);
  if (!(found >= least)) bad.push(`${what}: ${found.toFixed(2)}, ${a} on ${b}`);
};

document.querySelectorAll("details").forEach((one) => { one.open = true; });
let seen = 0;
for (const one of document.querySelectorAll("body *")) {
  if (one.closest("defs, script, .hidden, .idle") || !one.getClientRects().length) continue;
  const style = getComputedStyle(one), svg = one.ownerSVGElement, row = one.closest("[aria-selected=true]");
  const text = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  seen += 1;
  if (svg && one.matches(".flagtext")) check(`flag ${one.textContent}`, style.fill, getComputedStyle(one.previousElementSibling).fill, 4.5);
  else if (svg && one.matches("text")) check(one.textContent, style.fill, row ? getComputedStyle(row.querySelector(".hit")).fill : behind(svg), 4.5);
  else if (svg && one.matches("rect:not(.hit, .killed), .still")) check(`shape ${one.getAttribute("class")}`, style.fill, behind(svg), 3);
  else if (svg && one.matches(".cap, .mark")) check(`line ${one.getAttribute("class")}`, style.stroke, behind(svg), 3);
  else if (!svg && text) check(one.textContent, style.color, behind(one), 4.5);
}
check("hatched", getComputedStyle(document.querySelector("#hatch .kill")).fill, behind(document.querySelector(".card")), 3);
return [seen, bad, getComputedStyle(document.body).backgroundColor];
