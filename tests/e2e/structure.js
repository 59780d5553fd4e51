// Returns what keeps a page from being heard or used by keyboard: structure alone, as WCAG 2.2 A and AA ask for it.
() => {
  const wrong = [];
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const show = (element) => `${element.nodeName.toLowerCase()} ${element.outerHTML.slice(0, 90)}`;
  const say = (what, element) => wrong.push(element ? `${what}: ${show(element)}` : what);
  const isSeen = (element) => element.checkVisibility() && !element.closest("[aria-hidden=true]");
  const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby");
    const named = by?.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
    const shown = element.cloneNode(true);
    all("[aria-hidden=true]", shown).forEach((hidden) => hidden.remove());
    return (element.getAttribute("aria-label") || named || labels || shown.textContent || "").trim();
  };

  if (!document.documentElement.lang) say("no language");
  if (!document.title.replace("· Launchpin", "").trim()) say("no title");
  for (const [selector, count] of [["main", 1], ["h1", 1], ["body > header", 1]]) {
    if (all(selector).length !== count) say(`${all(selector).length} times ${selector}`);
  }
  const levels = all("h1, h2, h3, h4, h5, h6").filter(isSeen);
  levels.forEach((heading, at) => {
    const level = Number(heading.nodeName[1]);
    if (at ? level > Number(levels[at - 1].nodeName[1]) + 1 : level !== 1) say("a heading skips a level", heading);
    if (!nameOf(heading)) say("an empty heading", heading);
  });
  const landmarks = all("nav, section, [role=search], [role=region]").filter(isSeen);
  const names = landmarks.map((one) => `${one.nodeName} ${one.getAttribute("aria-label") ?? one.getAttribute("aria-labelledby")}`);
  landmarks.forEach((one, at) => {
    if (one.nodeName === "NAV" && !nameOf(one)) say("a landmark without a name", one);
    if (one.nodeName === "NAV" && names.indexOf(names[at]) !== at) say("two landmarks of one name", one);
  });
  const ids = all("[id]").map((one) => one.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => say(`two elements have the id ${id}`));
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    for (const one of all(`[${name}]`)) {
      for (const id of one.getAttribute(name).split(/\s+/)) {
        if (!document.getElementById(id)) say(`${name} names nothing`, one);
      }
    }
  }
  for (const one of all("a[href], button, summary").filter(isSeen)) if (!nameOf(one)) say("nothing to hear", one);
  for (const one of all("input:not([type=hidden]), select, textarea").filter(isSeen)) {
    if (!(one.labels?.length || one.getAttribute("aria-label"))) say("a field without a label", one);
  }
  for (const one of all("svg").filter((svg) => !svg.parentElement.closest("svg"))) {
    const isImage = one.getAttribute("role") === "img" && one.getAttribute("aria-label");
    if (one.getAttribute("aria-hidden") !== "true" && !isImage) say("a picture without words", one);
  }
  for (const one of all("img")) if (!one.hasAttribute("alt")) say("a picture without words", one);
  for (const table of all("table")) {
    if (!table.querySelector("th[scope]")) say("a table without headers", table);
    for (const cell of all("th", table)) {
      if (!cell.scope) say("a header without its scope", cell);
      if (!nameOf(cell)) say("an empty header", cell);
    }
  }
  for (const list of all("ul, ol")) {
    for (const child of list.children) if (child.nodeName !== "LI") say("a list holds what is no item", child);
  }
  for (const list of all("dl")) {
    for (const child of list.children) if (!["DT", "DD", "DIV"].includes(child.nodeName)) say("a stranger in a list of terms", child);
  }
  for (const one of all("[role=group], [role=region]")) if (!nameOf(one)) say("a group without a name", one);
  for (const one of all("body *").filter((each) => each.checkVisibility())) {
    const { overflowX, overflowY } = getComputedStyle(one);
    const scrolls = (over, inner, outer) => ["auto", "scroll"].includes(over) && inner > outer + 1;
    if (scrolls(overflowX, one.scrollWidth, one.clientWidth) || scrolls(overflowY, one.scrollHeight, one.clientHeight)) {
      if (one.tabIndex < 0 && !one.querySelector("a[href], button, input, select")) say("scrolls without a keyboard", one);
    }
  }
  for (const one of all("button, .button, input:not([type=hidden]), select").filter(isSeen)) {
    const { width, height } = one.getBoundingClientRect();
    if (width < 24 || height < 24) say(`a target of ${Math.round(width)} by ${Math.round(height)}`, one);
  }
  if (all("[tabindex]").some((one) => one.tabIndex > 0)) say("an order of its own for the keyboard");
  if (all("[style]").length) say("a style that the policy forbids");
  return wrong;
}
