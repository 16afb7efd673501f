// What the page never does; and what came of trying it here.
const script = () => {
  const one = document.createElement("script");
  one.textContent = "window.hacked = 1";
  document.body.append(one);
};
const tries = [
  () => { document.body.innerHTML = "<b>"; }, () => { document.body.insertAdjacentHTML("beforeend", "<b>"); },
  () => { setTimeout("window.hacked = 1"); }, script,
];
const tried = tries.map((attempt) => {
  try { attempt(); return "done"; } catch { return "refused"; }
});
return new Promise((done) => setTimeout(() => done([tried, window.hacked ?? null])));
