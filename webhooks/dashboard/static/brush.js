// Brushing: of a search's trials only those are shown whose values lie between two marks on each axis. The marks are
// range inputs, which a keyboard moves, and which keep what was chosen while the page renews itself; dragging along an
// axis of the picture only sets them. Without scripts the picture and the table of trials say everything.
"use strict";

const SLIP = 4; // pixels that a hand moves by mistake
const NEAR = 0.6; // heights are rounded to thousandths

const picture = () => document.querySelector("[data-brush]");
const marksOf = (axis) => [...axis.querySelectorAll("input")];
const axisAt = (index) => picture().querySelector(`[data-axis-marks="${index}"]`);

function between(axis) {
  const [one, other] = marksOf(axis).map((mark) => mark.valueAsNumber);
  return { low: Math.min(one, other), high: Math.max(one, other), most: Number(axis.dataset.most) };
}

function isWhole({ low, high, most }) {
  return low <= 0 && high >= most;
}

function nameOf(axis, at) {
  const { choices, low, high, log } = JSON.parse(axis.dataset.scale);
  if (choices) return choices[Math.round(at)];
  const share = at / Number(axis.dataset.most);
  const value = log ? low * (high / low) ** share : low + (high - low) * share;
  return String(Number(value.toPrecision(4)));
}

// Where a line crosses an axis, in the axis' own numbers; nothing where it has no value there.
function crossings(line, box) {
  const top = Number(box.dataset.top);
  const bottom = Number(box.dataset.bottom);
  const found = new Map();
  for (const point of line.getAttribute("points").split(" ")) {
    const [x, y] = point.split(",").map(Number);
    if (y <= bottom + 1) found.set(x, (bottom - y) / (bottom - top));
  }
  return found;
}

function filter() {
  const box = picture();
  if (!box) return;
  const axes = [...box.querySelectorAll("[data-axis-marks]")];
  const limits = [];
  axes.forEach((axis, index) => {
    const found = between(axis);
    for (const mark of marksOf(axis)) mark.setAttribute("aria-valuetext", nameOf(axis, mark.valueAsNumber));
    const said = isWhole(found) ? "all" : `${nameOf(axis, found.low)} to ${nameOf(axis, found.high)}`;
    axis.querySelector("[data-between]").textContent = said;
    paint(box, index, found);
    if (!isWhole(found)) limits.push({ x: Number(axis.dataset.x), ...found });
  });
  show(box, limits);
}

function show(box, limits) {
  let count = 0;
  const lines = box.querySelectorAll("[data-trial]");
  for (const line of lines) {
    const at = limits.length ? crossings(line, box) : null;
    const isIn = limits.every(({ x, low, high, most }) => {
      const value = at.has(x) ? at.get(x) * most : NaN;
      const near = most < 1000 ? 0.1 : NEAR; // choices are whole numbers apart
      return value >= low - near && value <= high + near;
    });
    count += isIn;
    line.classList.toggle("out", !isIn);
    const row = document.getElementById(`trial-${line.dataset.trial}`);
    if (row) row.hidden = !isIn;
  }
  const said = limits.length ? `${count} of ${lines.length} trials` : `All ${lines.length} trials`;
  const told = document.getElementById("brushed");
  if (told.textContent !== said) told.textContent = said;
}

function showAll() {
  for (const mark of picture().querySelectorAll("input")) mark.value = mark.defaultValue;
  filter();
}

function paint(box, index, { low, high, most }) {
  const brush = box.querySelector(`.brush[data-axis="${index}"]`);
  const [top, bottom] = [Number(box.dataset.top), Number(box.dataset.bottom)];
  const heightOf = (value) => bottom - (most ? value / most : 0.5) * (bottom - top);
  brush.classList.toggle("set", !isWhole({ low, high, most }));
  brush.setAttribute("y", heightOf(high) - 6);
  brush.setAttribute("height", heightOf(low) - heightOf(high) + 12);
}

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
    return Math.min(1, Math.max(0, (bottom - height) / (bottom - top))) * Number(axis.dataset.most);
  };
  const move = ({ clientY }) => {
    const isSlip = Math.abs(clientY - start) < SLIP;
    from.value = isSlip ? from.min : Math.min(at(start), at(clientY));
    to.value = isSlip ? to.max : Math.max(at(start), at(clientY));
    filter();
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

function light(event) {
  const { trial } = event.target.closest?.("[data-trial]")?.dataset ?? {};
  for (const one of document.querySelectorAll(".lit")) one.classList.remove("lit");
  if (!trial) return;
  picture()?.querySelector(`[data-trial="${trial}"]`)?.classList.add("lit");
  document.getElementById(`trial-${trial}`)?.classList.add("lit");
}

document.addEventListener("pointerdown", drag);
document.addEventListener("pointerover", light);
document.addEventListener("focusin", light);
document.addEventListener("input", (event) => event.target.closest("[data-axis-marks]") && filter());
document.addEventListener("click", (event) => event.target.closest("[data-show-all]") && showAll());
document.addEventListener("htmx:afterSwap", filter);
filter();
