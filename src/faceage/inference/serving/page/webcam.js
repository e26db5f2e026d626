// Live predictions: each frame of the camera that the server has time for, smoothed over time.

import { jpeg, predict } from "./api.js";
import { element } from "./elements.js";
import { Tracker } from "./face_tracks.js";
import { drawBoxes, inWords, legend, list } from "./faces.js";
import { Smoothed } from "./smoothing.js";

const WIDTH = 480; // pixels sent of a frame: more costs time and finds no more faces
const UNDER_WAY = 2; // frames at once: one is encoded while the other is predicted
const MEASURED = 3000; // milliseconds over which the rate is taken
const READABLE = 300; // milliseconds for which the list stays as it is
const SPOKEN = 5000; // milliseconds between two announcements to screen readers

const [live, video, boxes, rate, seen, marks, button] =
  ["live", "video", "boxes", "rate", "seen", "marks", "webcam"].map(element);

let stream = null;
let coverage = null;
let say = () => {};

// Make the button work; about: promises what is known of the model, announce: shows a message.
export function enable(about, announce) {
  say = announce;
  button.addEventListener("click", () => (stream ? stop() : begin(about)));
}

export const photograph = () => jpeg(video, video.videoWidth, 0.95);

async function begin(about) {
  if (!navigator.mediaDevices) {
    return say("browsers allow the webcam only on http://localhost, or over https", true);
  }
  button.disabled = true; // while the browser asks
  try {
    coverage = (await about).coverage;
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
  } catch (error) {
    return say(`the webcam cannot be used: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
  stream.getVideoTracks()[0].addEventListener("ended", stop); // unplugged
  video.srcObject = stream;
  live.hidden = false;
  button.textContent = "Stop the webcam";
  say("the webcam is on");
  await video.play();
  const tracker = new Tracker();
  follow(stream, { tracker, underWay: 0, sent: 0, drawn: 0, times: [], listed: 0, spoken: performance.now() });
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  live.hidden = true;
  for (const node of [boxes, seen, marks, rate]) node.replaceChildren();
  button.textContent = "Start the webcam";
  say("the webcam is off");
}

function follow(own, state) {
  if (stream !== own) return;
  video.requestVideoFrameCallback(() => follow(own, state));
  if (state.underWay < UNDER_WAY) send(own, state);
}

async function send(own, state) {
  state.underWay += 1;
  const number = (state.sent += 1);
  const taken = performance.now() / 1000;
  try {
    const answer = await predict(await jpeg(video, WIDTH, 0.8), "always");
    if (stream === own) show(answer, number, taken, state);
  } catch (error) {
    if (stream !== own) return;
    stop();
    say(error.message, true);
  } finally {
    state.underWay -= 1;
  }
}

function show(answer, number, taken, state) {
  const now = performance.now();
  state.times = [...state.times.filter((time) => time > now - MEASURED), now];
  if (number < state.drawn) return; // overtaken by a later frame
  state.drawn = number;
  const faces = followed(answer.faces, taken, state.tracker);
  drawBoxes(boxes, { ...answer, faces });
  if (now > state.listed + READABLE) {
    state.listed = now;
    seen.replaceChildren(...list(faces));
    marks.textContent = legend(faces, coverage);
    const seconds = (now - state.times[0]) / 1000;
    if (seconds > 1) rate.textContent = `${Math.round((state.times.length - 1) / seconds)} pictures a second`;
  }
  if (now > state.spoken + SPOKEN) {
    state.spoken = now;
    say(inWords(faces));
  }
}

// Faces in the order of their tracks, each with its track's number and smoothed.
function followed(faces, time, tracker) {
  const tracks = tracker.update(faces, time);
  const each = faces.map((face, place) => smoothed(face, tracks[place], time));
  return each.sort((one, other) => one.number - other.number);
}

// The interval and the distribution become means over time like the age: they are shown with it.
function smoothed(face, track, time) {
  const { number, age, means = (track.means = {}) } = track;
  if (face.age === null) return { ...face, number };
  age.add(face.age, time);
  const mean = (value, name) => {
    const own = (means[name] ??= new Smoothed());
    own.add(value, time);
    return own.mean;
  };
  const [low, high] = ["low", "high"].map((end) => (face[end] === null ? null : mean(face[end], end)));
  const distribution = face.distribution && face.distribution.map(mean);
  return { ...face, number, age: age.mean, spread: age.std, low, high, distribution };
}
