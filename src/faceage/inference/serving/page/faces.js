// What is shown of faces: boxes over their picture, and a list with a chart for each.

import { draw, make } from "./elements.js";

const OLDEST = 120; // years on the axis of a chart
const TICKS = [0, 20, 40, 60, 80, 100, 120];
const PLOT = 44; // pixels of a chart's height above its axis
const at = (years) => `${(100 * Math.min(years, OLDEST)) / OLDEST}%`;

const age = (face) => (face.age === null ? face.age_group : `${Math.round(face.age)}`);
const spread = (face) => (face.spread == null ? "" : ` ± ${face.spread.toFixed(1)}`); // of films only
const interval = (face) => (face.low === null ? "" : `${Math.round(face.low)} to ${Math.round(face.high)}`);

export function inWords(faces) {
  if (!faces.length) return "no face found";
  const each = faces.map((face) => {
    const words = face.age === null ? `age group ${face.age_group}` : `about ${age(face)} years`;
    const name = faces.length > 1 ? `face ${face.number}: ` : "";
    return name + words + (face.low === null ? "" : `, between ${interval(face).replace("to", "and")}`);
  });
  return each.join("; ");
}

export function drawBoxes(svg, answer) {
  svg.setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
  svg.setAttribute("aria-hidden", "true"); // the list says the same in words
  const size = Math.max(answer.width, answer.height) / 26;
  svg.replaceChildren(
    ...answer.faces.flatMap((face) => {
      const text = { x: face.x + face.w / 2, "font-size": size, "text-anchor": "middle" };
      const below = Math.min(face.y + face.h + size, answer.height - size / 3);
      return [
        draw("rect", { class: "box", x: face.x, y: face.y, width: face.w, height: face.h }),
        draw("text", { ...text, y: Math.max(face.y - size / 3, size) }, `${face.number}: ${age(face)}${spread(face)}`),
        draw("text", { ...text, y: below, "font-size": 0.8 * size }, interval(face)),
      ];
    }),
  );
}

export function list(faces, extra = () => []) {
  return faces.map((face) =>
    make(
      "li",
      {},
      make("span", { className: "number", title: `face ${face.number}` }, `${face.number}`),
      make("span", { className: "age" }, age(face), make("small", {}, face.age === null ? "" : `${spread(face)} years`)),
      make("span", { className: "detail" }, detail(face)),
      ...(face.age === null ? [] : [chart(face)]),
      ...extra(face),
    ),
  );
}

// What the marks of their charts are; coverage: of the intervals, from 0 to 1.
export function legend(faces, coverage) {
  const marks = [];
  if (faces.some((face) => face.distribution)) marks.push("bars: the probability of each year");
  if (faces.some((face) => "spread" in face)) {
    marks.push("line: the age, smoothed over some seconds", "±: how far it moves from picture to picture");
  } else if (faces.some((face) => face.age !== null)) marks.push("line: the predicted age");
  if (faces.some((face) => face.low !== null)) marks.push(`shaded: the ${Math.round(100 * coverage)}% interval`);
  return marks.join("; ");
}

function detail(face) {
  if (face.age === null) return "the model tells age groups only";
  return face.low === null ? "no interval: the model was not evaluated" : `probably ${interval(face)}`;
}

function chart(face) {
  const svg = draw("svg", { class: "chart", role: "img" });
  const span = face.low === null ? "" : `, interval ${interval(face)}`;
  svg.setAttribute("aria-label", `On an axis from 0 to ${OLDEST} years: predicted age ${age(face)}${span}`);
  if (face.low !== null) {
    const width = `${(100 * (Math.min(face.high, OLDEST) - face.low)) / OLDEST}%`;
    svg.append(draw("rect", { class: "interval", x: at(face.low), y: 0, width, height: PLOT }));
  }
  const shares = (face.distribution ?? []).slice(0, OLDEST + 1);
  const highest = Math.max(...shares);
  shares.forEach((share, year) => {
    const height = ((PLOT - 4) * share) / highest;
    if (height < 0.2) return;
    // Centred on its year, as the line of the predicted age is.
    const x = `${(100 * Math.max(year - 0.45, 0)) / OLDEST}%`;
    svg.append(draw("rect", { class: "bar", x, y: PLOT - height, width: `${90 / OLDEST}%`, height }));
  });
  svg.append(draw("line", { class: "prediction", x1: at(face.age), x2: at(face.age), y1: 0, y2: PLOT }));
  svg.append(draw("line", { class: "axis", x1: 0, x2: "100%", y1: PLOT, y2: PLOT }));
  for (const years of TICKS) {
    const anchor = years === 0 ? "start" : years === OLDEST ? "end" : "middle";
    svg.append(
      draw("line", { class: "axis", x1: at(years), x2: at(years), y1: PLOT, y2: PLOT + 4 }),
      draw("text", { x: at(years), y: PLOT + 16, "text-anchor": anchor }, `${years}`),
    );
  }
  return svg;
}
