// Keeps the page up to date: the stream of changes says when, and every few seconds it looks anyway. It asks for the
// page's changing part and changes only what differs, so that focus, selection and open details stay. Without it the
// page works the same, with its Refresh link.
"use strict";

const PERIOD = 4000;
const PACE = 800;
const PATIENCE = 10000;
const AGAIN = 15000;
const main = document.getElementById("main");
const live = document.getElementById("live");
const words = document.getElementById("live-words");
let next = 0;
let last = 0;
let stream = null;

function say(state, text) {
  live.dataset.state = state;
  if (words.textContent !== text) words.textContent = text;
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
    from.replaceWith(to);
  } else if (from.nodeType === Node.TEXT_NODE) {
    if (from.nodeValue !== to.nodeValue) {
      from.nodeValue = to.nodeValue;
      from.parentElement.closest("[data-notice]")?.classList.add("changed");
    }
  } else if (from.nodeType === Node.ELEMENT_NODE) {
    attributes(from, to);
    children(from, to);
  }
}

function children(from, to) {
  const old = [...from.childNodes];
  const fresh = [...to.childNodes];
  fresh.forEach((node, at) => (at < old.length ? morph(old[at], node) : from.append(node)));
  old.slice(fresh.length).forEach((node) => node.remove());
}

async function refresh() {
  const answer = await fetch(location.href, {
    headers: { "X-Launchpin-Fragment": "1" },
    signal: AbortSignal.timeout(PATIENCE),
    redirect: "error",
  });
  if (answer.status === 401) return say("over", "Session over");
  if (!answer.ok) return say("lost", "Not live");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  children(main, fresh.body);
  return say("on", "Live");
}

function look(after) {
  clearTimeout(next);
  next = setTimeout(watch, after);
}

async function watch() {
  if (document.hidden || live.dataset.state === "over") return;
  last = Date.now();
  try {
    await refresh();
  } catch {
    say("lost", "Not live");
  }
  look(PERIOD);
}

// Read by fetch, for it tells of every kind of event; a page that nobody sees gives its connection back.
async function listen() {
  if (stream || document.hidden || live.dataset.state === "over") return;
  stream = new AbortController();
  try {
    const answer = await fetch("/api/v1/events", { signal: stream.signal, redirect: "error" });
    const reader = answer.ok ? answer.body.pipeThrough(new TextDecoderStream()).getReader() : null;
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      if (part.value.includes("data:")) look(Math.max(0, last + PACE - Date.now()));
    }
  } catch {
    // The stream ended, or was given back: the page looks every few seconds meanwhile.
  }
  stream = null;
  setTimeout(listen, AGAIN);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
}

document.documentElement.classList.add("scripted");
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
if (live) {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stream?.abort();
    } else {
      look(0);
      listen();
    }
  });
  watch();
  listen();
}
