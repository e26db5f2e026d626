// The page: photographs that are dropped, pasted, chosen or taken become cards with predictions.

import { acceptable, model, predict, saliency } from "./api.js";
import { draw, element, make } from "./elements.js";
import { drawBoxes, inWords, legend, list } from "./faces.js";
import * as webcam from "./webcam.js";

const [drop, results, status] = ["drop", "results", "status"].map(element);
const about = model(); // being asked for: nothing waits for it but what needs it

function say(text, wrong = false) {
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

async function predictAll(files) {
  for (const file of files) await add(file, file.name || "pasted picture");
}

async function add(file, name) {
  say(`${name}: looking for faces …`);
  try {
    const picture = await acceptable(file);
    const answer = await predict(picture);
    results.prepend(card(picture, name, answer, (await about).coverage));
    say(`${name}: ${inWords(answer.faces)}`);
  } catch (error) {
    results.prepend(make("article", {}, make("h2", {}, name), make("p", { className: "wrong" }, error.message)));
    say(`${name}: ${error.message}`, true);
  }
}

function card(picture, name, answer, coverage) {
  const image = make("img", { alt: `${name} with ${inWords(answer.faces)}`, src: URL.createObjectURL(picture) });
  const overlay = draw("svg");
  drawBoxes(overlay, answer);
  const frame = make("div", { className: "picture" }, image, overlay);
  const rows = list(answer.faces, (face) => [explainer(picture, face)]);
  const predictions = answer.faces.length
    ? [make("ol", { className: "faces" }, ...rows), make("p", { className: "legend" }, legend(answer.faces, coverage))]
    : [make("p", {}, "No face found.")];
  return make("article", {}, make("h2", {}, name), frame, ...predictions);
}

// A button that makes way for the face with its saliency map.
function explainer(picture, face) {
  const button = make("button", { type: "button", className: "button quiet" }, "Where did it look?");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const file = await saliency(picture, face.index);
      const image = make("img", { src: URL.createObjectURL(file), alt: "the face, coloured by how much each place counted" });
      const scale = make("span", { className: "scale" }, make("span", {}, "little"), make("span", {}, "much"));
      const text = "How much each place counted for the predicted age, for older or for younger.";
      const caption = make("figcaption", {}, text, scale);
      const figure = make("figure", { className: "saliency", tabIndex: -1 }, image, caption);
      button.replaceWith(figure);
      figure.focus();
      say(text);
    } catch (error) {
      button.disabled = false;
      say(error.message, true);
    }
  });
  return button;
}

function introduce(about) {
  const parts = [`${about.name} at ${about.img_size} pixels.`];
  if (about.mae !== null) {
    const range = `95% interval ${about.mae_low.toFixed(2)} to ${about.mae_high.toFixed(2)}`;
    const faces = `${about.test_faces.toLocaleString("en")} test faces that it had not seen`;
    parts.push(`Its mean error is ${about.mae.toFixed(2)} years (${range}) on ${faces}.`);
  } else if (about.group_accuracy !== null) {
    parts.push(`It put ${Math.round(100 * about.group_accuracy)}% of its test faces into the right age group.`);
  } else parts.push("It was not evaluated.");
  if (about.synthetic) parts.push("It was trained on drawn faces: what it says of people means nothing.");
  element("model").textContent = parts.join(" ");
  if (about.coverage === null) return;
  const share = `${Math.round(100 * about.coverage)}%`;
  element("coverage").textContent =
    `The interval is to hold the true age of ${share} of people like those that it was tested on.`;
}

function tellOfTheNetwork() {
  if (["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) return;
  element("privacy").replaceChildren(
    make("strong", {}, `Pictures go over your network to ${location.hostname}`),
    location.protocol === "https:" ? ". " : ", unencrypted. ",
    "There the program that serves this page looks at them in memory and forgets them; nothing is stored.",
  );
}

for (const chooser of ["files", "camera"].map(element)) {
  chooser.addEventListener("change", async () => {
    await predictAll([...chooser.files]);
    chooser.value = ""; // the same photograph may be chosen again
  });
}
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") predictAll([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => predictAll([...event.clipboardData.files]));
element("snapshot").addEventListener("click", async () => add(await webcam.photograph(), "webcam"));
webcam.enable(about, say);
tellOfTheNetwork();
about.then(introduce).catch((error) => say(error.message, true));
