// What htmx leaves to us on a page that keeps itself up to date: to say whether it does, to stop where nobody looks, and
// to leave alone what a reader has opened or written. Without scripts a page works the same, with its Refresh link.
"use strict";

const main = document.getElementById("main");
const live = document.getElementById("live");
const words = document.getElementById("live-words");

function say(state, text) {
  live.dataset.state = state;
  if (words.textContent !== text) words.textContent = text;
}

// A page that nobody sees asks nothing, and gives its connection back: a browser has six of them for a server.
function follow(isSeen) {
  main.toggleAttribute("hx-disable", !isSeen);
  htmx.process(main);
  if (isSeen) htmx.trigger(main, "look");
}

function hear(event) {
  const { xhr, successful } = event.detail;
  if (successful) return say("on", "Live");
  if (xhr.status !== 401) return say("lost", "Not live");
  say("over", "Session over");
  return follow(false);
}

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node, change) => {
  const isOpened = name === "open" && change === "remove" && node.nodeName === "DETAILS";
  const isTheirs = ["value", "checked", "selected"].includes(name) && node.matches("input:not([type=hidden]), option");
  return !isOpened && !isTheirs;
};

Idiomorph.defaults.callbacks.beforeNodeMorphed = (from, to) => {
  if (from.nodeType === Node.TEXT_NODE && from.nodeValue !== to.nodeValue) {
    from.parentElement.closest("[data-notice]")?.classList.add("changed");
  }
};

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
  main.addEventListener("htmx:sseOpen", () => say("on", "Live"));
  main.addEventListener("htmx:afterRequest", hear);
  document.addEventListener("visibilitychange", () => {
    if (live.dataset.state !== "over") follow(!document.hidden);
  });
}
