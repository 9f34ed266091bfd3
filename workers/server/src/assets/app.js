// What the pages need beyond HTML: they stay up to date, follow logs and ask before they act. Pages are rendered
// by the server alone; this script fetches them again and changes what differs, so there is one renderer.
"use strict";

const main = document.getElementById("content");

// Words of `ago_text` in web/format.rs.
function ago(then) {
  const seconds = Math.trunc((Date.now() - then) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return seconds >= 0 ? "just now" : "now";
  const text =
    size < 60 ? `${size} s` : size < 3600 ? `${Math.trunc(size / 60)} min` : size < 86400 ? `${Math.trunc(size / 3600)} h` : `${Math.trunc(size / 86400)} d`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = ago(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(tick, 1000);

// Changes `from` into `to` with as few touches as may be, so that focus, scrolling and transitions survive.
function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  // A log that is being followed grows by itself; the live sign is set here.
  if (from.dataset.keep && from.dataset.keep === to.dataset.keep) return;
  for (const { name, value } of to.attributes) {
    if (name !== "data-live" && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
  const wanted = [...to.childNodes];
  const present = [...from.childNodes];
  wanted.forEach((child, index) => (present[index] ? morph(present[index], child) : from.append(child)));
  present.slice(wanted.length).forEach((child) => child.remove());
}

let busy = false;
async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("content");
      if (fresh) {
        const still = !fresh.dataset.every && main.dataset.every;
        morph(main, fresh);
        if (still) clearInterval(timer);
        tick();
        follow();
      }
    }
  } catch {
    // The server is away; the next look tells.
  } finally {
    busy = false;
  }
}

let timer = 0;
if (main.dataset.every) timer = setInterval(refresh, Number(main.dataset.every));

function live(state, text) {
  const sign = document.querySelector(".live");
  if (!sign) return;
  sign.dataset.live = state;
  sign.querySelector(".live-text").textContent = text;
}

function toast(alert) {
  const box = document.createElement("div");
  const head = document.createElement("b");
  box.className = "toast";
  head.textContent = `${alert.severity} · ${alert.rule}`;
  box.append(head, alert.message);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 8000);
}

// The browser reconnects by itself and says what it saw last; the server sends what was missed.
if (main.dataset.stream) {
  const source = new EventSource(main.dataset.stream);
  source.addEventListener("open", () => live("on", "Live"));
  source.addEventListener("error", () => live("off", "Reconnecting"));
  source.addEventListener("board", refresh);
  source.addEventListener("alert", (event) => toast(JSON.parse(event.data)));
}

let followed = null;
function follow() {
  const log = document.querySelector(".log[data-follow]");
  if (!log || followed === log.dataset.keep) return;
  followed = log.dataset.keep;
  log.scrollTop = log.scrollHeight;
  const source = new EventSource(log.dataset.follow);
  source.addEventListener("line", (event) => {
    const line = JSON.parse(event.data);
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const row = document.createElement("li");
    const time = document.createElement("time");
    const text = document.createElement("span");
    row.className = `level-${line.level}`;
    time.textContent = new Date(line.at).toLocaleTimeString("en-GB");
    text.textContent = line.line;
    row.append(time, text);
    log.querySelector(".none")?.remove();
    log.append(row);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("end", () => {
    source.close();
    followed = null;
    refresh();
  });
}
follow();

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
