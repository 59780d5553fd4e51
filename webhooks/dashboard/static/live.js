// Keeps the page up to date: asks for its changing part every two seconds and changes only what differs, so that
// focus, selection and open details stay. Without it the page works the same, with its Refresh link.
"use strict";

const PERIOD = 2000;
const PATIENCE = 10000;
const main = document.getElementById("main");
const live = document.getElementById("live");
const words = document.getElementById("live-words");

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

async function watch() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      say("lost", "Not live");
    }
  }
  if (live.dataset.state !== "over") setTimeout(watch, PERIOD);
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
if (live) watch();
