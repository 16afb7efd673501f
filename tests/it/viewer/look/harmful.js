// Characters of the page that move a cursor, turn the direction of text, cannot be seen, or are piled up. Those that keep a name's
// direction to itself are the page's own.
const spoken = [...document.querySelectorAll("[aria-label]")].map((one) => one.getAttribute("aria-label"));
const all = [document.body.innerText, document.title, ...spoken].join("\n");
const found = [...all.matchAll(/[\p{C}\p{M}\p{Zl}\p{Zp}]/gu)].map((one) => one[0].codePointAt(0));
return found.filter((one) => ![9, 10, 0x2068, 0x2069].includes(one));
