// Pictures go to /v1/predict of the program that serves this page, and nowhere else.

const SVG = "http://www.w3.org/2000/svg";
const WEBCAM_WIDTH = 480; // pixels sent a frame: more costs time and finds no more faces
const IN_FLIGHT = 2; // frames under way at once: one is encoded while the other is estimated
const OLDEST = 100; // years on the axis of a distribution

const element = (id) => document.getElementById(id);
const [drop, files, results, status] = ["drop", "files", "results", "status"].map(element);

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  Object.assign(node, attributes);
  node.append(...children);
  return node;
}

function draw(name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

async function ask(path, picture) {
  const answer = await fetch(path, { method: "POST", body: picture });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `the server answered ${answer.status}`);
}

const years = (face) => (face.age === null ? face.group : `${Math.round(face.age)}`);

function range(face) {
  if (face.low === null) return face.group;
  return `${Math.round(face.low)} to ${Math.round(face.high)} years`;
}

function boxes(svg, answer) {
  svg.setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
  svg.setAttribute("aria-hidden", "true"); // the list says the same in words
  const size = Math.max(answer.width, answer.height) / 28;
  svg.replaceChildren(
    ...answer.faces.flatMap((face) => [
      draw("rect", { class: "box", x: face.x, y: face.y, width: face.w, height: face.h }),
      draw(
        "text",
        { x: Math.max(face.x, 0), y: Math.max(face.y - size / 3, size), style: `font-size:${size}px` },
        face.low === null ? years(face) : `${years(face)} (${range(face)})`,
      ),
    ]),
  );
}

function distribution(face) {
  const svg = draw("svg", { class: "distribution", viewBox: `0 0 ${OLDEST} 30`, preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", `probability by age, estimate ${years(face)}, ${range(face)}`);
  const shares = face.distribution ?? [];
  const highest = Math.max(...shares, 1e-9);
  shares.slice(0, OLDEST).forEach((share, age) => {
    const height = (26 * share) / highest;
    svg.append(draw("rect", { class: "bar", x: age, y: 28 - height, width: 0.9, height }));
  });
  if (face.low !== null) {
    svg.append(draw("line", { x1: face.low, x2: Math.min(face.high, OLDEST), y1: 29, y2: 29 }));
    svg.append(draw("line", { x1: face.age, x2: face.age, y1: 20, y2: 30 }));
  }
  return svg;
}

async function explain(picture, number, row, button) {
  button.disabled = true;
  try {
    const answer = await ask(`/v1/saliency?face=${number}`, picture);
    const image = make("img", { className: "saliency", alt: "where the model found its evidence: bright counts more" });
    image.src = URL.createObjectURL(await answer.blob());
    row.append(image);
  } catch (error) {
    say(error.message, true);
  }
}

function card(picture, name, answer) {
  const image = make("img", { alt: name, src: URL.createObjectURL(picture) });
  const overlay = draw("svg", {});
  boxes(overlay, answer);
  const rows = answer.faces.map((face, number) => {
    const button = make("button", { type: "button", textContent: "Where did it look?" });
    const age = make("span", { className: "age" }, years(face), make("small", {}, face.age === null ? "" : " years"));
    const detail = make("span", { className: "detail" }, `${range(face)}, group ${face.group}`, distribution(face));
    const row = make("li", {}, age, detail, button);
    button.addEventListener("click", () => explain(picture, number, row, button));
    return row;
  });
  results.prepend(
    make(
      "article",
      {},
      make("h2", {}, name),
      make("div", { className: "picture" }, image, overlay),
      make("ol", { className: "faces" }, ...rows),
    ),
  );
}

async function estimate(picture, name) {
  say(`looking at ${name} …`);
  try {
    const answer = await (await ask("/v1/predict", picture)).json();
    card(picture, name, answer);
    const found = answer.faces.map((face) => `${years(face)} (${range(face)})`).join("; ");
    say(found ? `${name}: ${found}` : `${name}: no face found`, !found);
  } catch (error) {
    say(`${name}: ${error.message}`, true);
  }
}

async function estimateAll(list) {
  for (const file of list) await estimate(file, file.name || "pasted picture");
}

files.addEventListener("change", () => estimateAll([...files.files]));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") estimateAll([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => estimateAll([...event.clipboardData.files]));

// The webcam

const [live, video, overlay, rate, webcam] = ["live", "video", "boxes", "rate", "webcam"].map(element);
let stream = null;

async function start() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
  } catch (error) {
    return say(`the webcam cannot be used: ${error.message}`, true);
  }
  video.srcObject = stream;
  await video.play();
  live.hidden = false;
  webcam.textContent = "Stop the webcam";
  webcam.setAttribute("aria-pressed", "true");
  say("live: estimates are drawn into the picture");
  const done = [];
  for (let lane = 0; lane < IN_FLIGHT; lane += 1) follow(stream, done);
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  live.hidden = true;
  webcam.textContent = "Start the webcam";
  webcam.setAttribute("aria-pressed", "false");
  say("");
}

async function follow(own, done) {
  const canvas = document.createElement("canvas");
  while (stream === own) {
    canvas.width = WEBCAM_WIDTH;
    canvas.height = Math.round((WEBCAM_WIDTH * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const frame = await new Promise((ready) => canvas.toBlob(ready, "image/jpeg", 0.8));
    try {
      const answer = await (await ask("/v1/predict?detect=always", frame)).json();
      if (stream !== own) return;
      boxes(overlay, answer);
      done.push(performance.now());
      while (done[0] < performance.now() - 3000) done.shift();
      const span = (done.at(-1) - done[0]) / 1000;
      if (span > 0.5) rate.textContent = `${((done.length - 1) / span).toFixed(0)} pictures a second`;
    } catch (error) {
      stop();
      return say(error.message, true);
    }
  }
}

webcam.addEventListener("click", () => (stream ? stop() : start()));
