// Every way to speak to a server, and what became of it.
const [url] = arguments;
const load = (name, set) => new Promise((done) => {
  const one = document.createElement(name);
  [one.onload, one.onerror] = [() => done("loaded"), () => done("refused")];
  // A script's address is refused before anything is loaded.
  try { set(one); } catch { done("refused"); }
  document.body.append(one);
});
const socket = new Promise((done) => {
  try {
    const one = new WebSocket(url.replace("http", "ws"));
    [one.onopen, one.onerror] = [() => done("loaded"), () => done("refused")];
  } catch { done("refused"); }
});
const post = fetch(url, { method: "POST", mode: "no-cors", body: "x" }).then(() => "loaded", () => "refused");
return Promise.all([
  post, socket, load("img", (one) => { one.src = url; }), load("script", (one) => { one.src = url; }),
  load("link", (one) => { [one.rel, one.href] = ["stylesheet", url]; }),
]);
