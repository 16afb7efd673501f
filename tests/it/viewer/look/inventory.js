// How many elements there are of kinds that could come from a report only as markup, and attributes that would run something.
const kinds = ["script", "style", "img", "a", "iframe", "link", "object", "embed", "form", "foreignObject", "image", "use"];
const attributes = [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes]).filter((one) => one.name !== "aria-label");
const running = attributes.filter((one) => one.name.startsWith("on") || /javascript:/i.test(one.value));
return [...kinds.map((name) => document.getElementsByTagName(name).length), running.length, window.hacked ?? null];
