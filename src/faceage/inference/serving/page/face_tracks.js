// Faces followed from picture to picture: the same as in inference/face_tracks.py, which says how.

import { Smoothed } from "./smoothing.js";

const MIN_OVERLAP = 0.3; // intersection over union from which two boxes may be of one face
const LOST = 1; // seconds without a sighting that end a track that was not in the picture before

export class Tracker {
  tracks = [];
  count = 0;
  time = 0; // of the last picture

  // Tracks of boxes { x, y, w, h }, one for each: { number, box, time, age }, its age smoothed.
  update(boxes, time) {
    const earliest = Math.min(this.time, time - LOST);
    this.time = time;
    this.tracks = this.tracks.filter((track) => track.time >= earliest);
    const pairs = this.tracks
      .flatMap((track) => boxes.map((box, place) => ({ track, place, shared: overlap(track.box, box) })))
      .filter((pair) => pair.shared >= MIN_OVERLAP) // in the order of tracks and places, which sorting keeps
      .sort((one, other) => other.track.time - one.track.time || other.shared - one.shared);
    const waiting = new Set(this.tracks);
    const found = boxes.map(() => null);
    for (const { track, place } of pairs) {
      if (waiting.has(track) && !found[place]) {
        found[place] = track;
        waiting.delete(track);
      }
    }
    return boxes.map((box, place) => Object.assign(found[place] ?? this.#begin(), { box, time }));
  }

  #begin() {
    const track = { number: (this.count += 1), age: new Smoothed() };
    this.tracks.push(track);
    return track;
  }
}

function overlap(a, b) {
  const width = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  const shared = Math.max(0, width) * Math.max(0, height);
  return shared / (a.w * a.h + b.w * b.h - shared);
}
