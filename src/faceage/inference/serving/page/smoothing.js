// A number smoothed over time: the same as in inference/smoothing.py, which says why.

const HALF_LIFE = 2; // seconds

// mean, and std around it: null of a single number.
export class Smoothed {
  mean = 0;
  time = 0;
  weight = 0;
  squares = 0;
  deviations = 0; // sums of w, w^2, w (x - mean)^2

  // time: in seconds, no earlier than the last
  add(value, time) {
    const kept = 0.5 ** ((time - this.time) / HALF_LIFE);
    this.time = time;
    this.weight = kept * this.weight + 1;
    this.squares = kept ** 2 * this.squares + 1;
    const step = value - this.mean;
    this.mean += step / this.weight;
    this.deviations = kept * this.deviations + step * (value - this.mean);
  }

  get std() {
    const freedom = this.weight - this.squares / this.weight;
    return freedom > 0 ? Math.sqrt(this.deviations / freedom) : null;
  }
}
