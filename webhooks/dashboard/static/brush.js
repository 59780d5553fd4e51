// Brushing: of a search's trials only those are shown whose values lie between two marks on each axis. The marks are
// range inputs, which a keyboard moves, and which keep what was chosen while the page renews itself; dragging along an
// axis of the picture only sets them. The picture follows at once; the address says where the marks are, and the page
// that is asked for by it has the chosen trials in its table, however many there are. Without scripts the picture and
// the table say everything.
"use strict";

const SLIP = 4; // pixels that a hand moves by mistake
const NEAR = 0.0006; // of an axis: heights are whole thousandths; the server has the same
const SAME = 1e-6; // by which two ways to compute the same place may differ; the server has the same
const REACH = 40; // thousandths between a pointer and the line that is meant
const REST = 250; // milliseconds for which marks stay where they are before the table is asked for

let lines = []; // of the picture, as the server drew it
let sought = ""; // the trial whose row is to be seen once it is here
let pointed = null; // the line that a pointer is near
let asking = 0; // the timer that asks for the table
const moved = new Set(); // keys of the axes whose marks a hand has moved since; of the others the address has them

const picture = () => document.querySelector("[data-brush]");
const marksOf = (axis) => [...axis.querySelectorAll("input")];
const axes = () => [...picture().querySelectorAll("[data-axis-marks]")];
const axisAt = (index) => picture().querySelector(`[data-axis-marks="${index}"]`);
const mostOf = (axis) => Number(axis.dataset.most);
const scaleOf = (axis) => JSON.parse(axis.dataset.scale);
const rowOf = (number) => document.getElementById(`trial-${number}`);

function between(axis) {
  const [one, other] = marksOf(axis).map((mark) => mark.valueAsNumber);
  return { low: Math.min(one, other), high: Math.max(one, other), most: mostOf(axis) };
}

function isWhole({ low, high, most }) {
  return low <= 0 && high >= most;
}

function valueAt(axis, at) {
  const { low, high, log } = scaleOf(axis);
  const share = at / mostOf(axis);
  const mix = (one, other) => one * (1 - share) + other * share;
  return log ? Math.exp(mix(Math.log(low), Math.log(high))) : mix(low, high);
}

function nameOf(axis, at) {
  const { choices } = scaleOf(axis);
  return choices ? choices[Math.round(at)] : String(Number(valueAt(axis, at).toPrecision(4)));
}

// ---- the address has values and no places, so that they mean the same when an axis grows

// Where a value stands; at the axis' own end where it is none of its values.
function placeOf(axis, text, own) {
  const { choices, low, high, log } = scaleOf(axis);
  if (choices) return choices.includes(text) ? choices.indexOf(text) : own;
  const value = text === null || text === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) return own;
  if (low === high) return mostOf(axis) / 2;
  const bend = (number) => (log ? Math.log(number) : number / 2); // halves, since a whole distance may be infinite
  const kept = Math.min(Math.max(value, low), high);
  return ((bend(kept) - bend(low)) / (bend(high) - bend(low))) * mostOf(axis);
}

// A mark's whole place, with whatever stands at it within.
const round = (place, isLower) => (isLower ? Math.floor(place + SAME) : Math.ceil(place - SAME));

// The shortest text that leads to the same place.
function textOf(axis, at, isLower) {
  const { choices } = scaleOf(axis);
  if (choices) return choices[at];
  const value = valueAt(axis, at);
  const texts = [...Array(16).keys()].map((digits) => String(Number(value.toPrecision(digits + 1))));
  return texts.find((text) => round(placeOf(axis, text, NaN), isLower) === at) ?? String(value);
}

function placesOf(axis) {
  const { searchParams } = new URL(location.href);
  const from = placeOf(axis, searchParams.get(`from.${axis.dataset.key}`), 0);
  const to = placeOf(axis, searchParams.get(`to.${axis.dataset.key}`), mostOf(axis));
  return [round(from, from <= to), round(to, from > to)];
}

function write(address, axis) {
  const [from, to] = marksOf(axis).map((mark) => mark.valueAsNumber);
  const known = placesOf(axis);
  const ends = [["from", from, 0, from <= to], ["to", to, mostOf(axis), from > to]];
  ends.forEach(([end, at, own, isLower], index) => {
    const name = `${end}.${axis.dataset.key}`;
    if (at === own) address.searchParams.delete(name);
    else if (at !== known[index]) address.searchParams.set(name, textOf(axis, at, isLower));
  });
}

// The lines of a kind are one path: each begins anew at an M, and goes from axis to axis.
function read() {
  const paths = picture()?.querySelectorAll("path[data-trials]") ?? [];
  lines = [...paths].flatMap((path) => {
    const strokes = path.getAttribute("d").split("M").slice(1);
    return path.dataset.trials.split(" ").map((told, index) => {
      const numbers = strokes[index].split(" ").map(Number);
      const points = numbers.flatMap((at, place) => (place % 2 ? [] : [[at, numbers[place + 1]]]));
      const [number, value] = told.split(":");
      return { path, number, value, points, stroke: `M${strokes[index]}`, isIn: true };
    });
  });
}

function filter() {
  const box = picture();
  if (!box) return;
  const limits = [];
  axes().forEach((axis, index) => {
    const found = between(axis);
    for (const mark of marksOf(axis)) mark.setAttribute("aria-valuetext", nameOf(axis, mark.valueAsNumber));
    const said = isWhole(found) ? "all" : `${nameOf(axis, found.low)} to ${nameOf(axis, found.high)}`;
    axis.querySelector("[data-between]").textContent = said;
    paint(box, index, found);
    if (!isWhole(found)) limits.push({ index, low: found.low / found.most - NEAR, high: found.high / found.most + NEAR });
  });
  show(box, limits);
}

function show(box, limits) {
  const [top, bottom] = [Number(box.dataset.top), Number(box.dataset.bottom)];
  const crosses = ({ points }, { index, low, high }) => {
    const y = points.find(([at]) => at === index)?.[1];
    const share = (bottom - y) / (bottom - top);
    return y <= bottom && share >= low && share <= high;
  };
  for (const line of lines) line.isIn = limits.every((limit) => crosses(line, limit));
  const shown = lines.filter((line) => line.isIn);
  for (const path of new Set(lines.map((line) => line.path))) {
    const drawn = shown.filter((line) => line.path === path).map((line) => line.stroke);
    path.setAttribute("d", drawn.join(""));
  }
  for (const line of lines) rowOf(line.number)?.toggleAttribute("hidden", !line.isIn);
  const all = `${lines.length.toLocaleString("en")} trial${lines.length === 1 ? "" : "s"}`;
  const said = limits.length ? `${shown.length.toLocaleString("en")} of ${all}` : `All ${all}`;
  const told = document.getElementById("brushed");
  if (told.textContent !== said) told.textContent = said;
}

function paint(box, index, { low, high, most }) {
  const brush = box.querySelector(`.brush[data-axis="${index}"]`);
  const [top, bottom] = [Number(box.dataset.top), Number(box.dataset.bottom)];
  const heightOf = (value) => bottom - (most ? value / most : 0.5) * (bottom - top);
  brush.classList.toggle("set", !isWhole({ low, high, most }));
  brush.setAttribute("y", heightOf(high) - 6);
  brush.setAttribute("height", heightOf(low) - heightOf(high) + 12);
}

// ---- the table, which the server makes: it is asked for by the address, which says what is wanted

function ask(trial = "") {
  const address = new URL(location.href);
  for (const axis of axes()) if (moved.has(axis.dataset.key)) write(address, axis);
  moved.clear();
  address.searchParams.delete("from");
  if (trial) address.searchParams.set("trial", trial);
  else address.searchParams.delete("trial");
  history.replaceState(history.state, "", address);
  htmx.trigger("#main", "look");
}

// Not at each step of a drag: browsers count how often an address changes.
function brush(...touched) {
  for (const axis of touched) moved.add(axis.dataset.key);
  filter();
  clearTimeout(asking);
  asking = setTimeout(() => {
    asking = 0;
    if (picture()) ask();
  }, REST);
}

function showAll() {
  for (const axis of axes()) {
    const [from, to] = marksOf(axis);
    [from.value, to.value] = [from.min, to.max];
  }
  brush(...axes());
}

function reach(number) {
  clearTimeout(asking);
  asking = 0;
  sought = number;
  ask(number);
}

// An axis may grow while its search goes on: marks stay at their values, and an end without one is where the axis ends.
function settle() {
  for (const axis of axes()) {
    const [from, to] = marksOf(axis);
    if (!moved.has(axis.dataset.key)) [from.value, to.value] = placesOf(axis);
  }
}

function renew() {
  if (!picture()) return;
  read();
  settle();
  filter();
  const row = sought && rowOf(sought);
  if (row) row.scrollIntoView({ block: "center" });
  if (row) sought = "";
}

// ---- hands

function drag(event) {
  const grip = event.target.closest(".grip");
  if (!grip || event.button !== 0) return;
  const axis = axisAt(grip.dataset.axis);
  const [from, to] = marksOf(axis);
  const start = event.clientY;
  const { top, bottom } = picture().dataset;
  // The grip reaches beyond the axis at both ends, so that the ends are easily met.
  const at = (y) => {
    const seen = grip.getBoundingClientRect();
    const height = ((y - seen.top) / seen.height) * Number(grip.getAttribute("height"));
    return Math.min(1, Math.max(0, (bottom - height) / (bottom - top))) * mostOf(axis);
  };
  const move = ({ clientY }) => {
    const isSlip = Math.abs(clientY - start) < SLIP;
    from.value = isSlip ? from.min : Math.min(at(start), at(clientY));
    to.value = isSlip ? to.max : Math.max(at(start), at(clientY));
    brush(axis);
  };
  const end = (last) => {
    move(last);
    document.removeEventListener("pointermove", move);
    document.removeEventListener("pointerup", end);
    document.removeEventListener("pointercancel", end);
  };
  event.preventDefault();
  document.addEventListener("pointermove", move);
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);
}

// How far a line is from a place above or below it; infinitely, where the line does not come by.
function distance({ points }, { x, y }) {
  const after = points.findIndex(([at]) => at >= x);
  if (after < 1) return Infinity;
  const [[left, from], [right, to]] = [points[after - 1], points[after]];
  return Math.abs(from + ((x - left) / (right - left)) * (to - from) - y);
}

function meant(event) {
  const group = event.target.closest?.(".coordinates")?.querySelector("[data-lines]");
  if (!group || event.target.closest(".grip")) return null;
  const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(group.getScreenCTM().inverse());
  const found = lines.filter((line) => line.isIn).map((line) => [distance(line, place), line]);
  const [far, line] = found.reduce((one, other) => (other[0] <= one[0] ? other : one), [REACH, null]);
  return far < REACH ? line : null;
}

function light(number, words = "", at = null) {
  const box = picture();
  if (!box) return;
  for (const row of document.querySelectorAll("tr.lit")) row.classList.remove("lit");
  rowOf(number)?.classList.add("lit");
  const line = lines.find((one) => one.number === number && one.isIn);
  box.querySelector("[data-lit]").setAttribute("d", line?.stroke ?? "");
  box.querySelector(".coordinates").classList.toggle("pointing", Boolean(at));
  const told = box.querySelector("[data-lit-words]");
  told.textContent = words;
  if (at) for (const [name, value] of Object.entries(at)) told.setAttribute(name, value);
}

function point(event) {
  const line = meant(event);
  pointed = line;
  if (!line) return light(event.target.closest?.("tr[data-trial]")?.dataset.trial ?? "");
  const seen = picture().querySelector(".coordinates").getBoundingClientRect();
  const x = event.clientX - seen.left;
  const isLeft = x < seen.width / 2;
  const words = `Trial ${line.number}${line.value ? `: ${line.value}` : ""}`;
  const at = { x: x + (isLeft ? 12 : -12), y: event.clientY - seen.top - 10, "text-anchor": isLeft ? "start" : "end" };
  return light(line.number, words, at);
}

document.addEventListener("pointerdown", drag);
document.addEventListener("pointermove", (event) => lines.length && point(event));
document.addEventListener("focusin", (event) => {
  const row = event.target.closest("tr[data-trial]");
  if (row) light(row.dataset.trial);
});
document.addEventListener("input", (event) => {
  const axis = event.target.closest("[data-axis-marks]");
  if (axis) brush(axis);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-show-all]")) return showAll();
  // The line that is lit, not the one that a click's rounded place would come to; a finger only clicks.
  const line = lines.length && meant(event) && (pointed ?? meant(event));
  return line && reach(line.number);
});
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id === "main" && picture()) detail.path = location.pathname + location.search;
});
document.addEventListener("htmx:afterSwap", renew);
renew();
