// The samples of the last hour, shared by the panels that draw them.

const MOST = 720;
let interval = 5000;
let kept = [];

/** Adds what the stream sends: everything at first and after a reconnection, later only new samples. */
export function add({ interval_ms: every, samples }) {
  interval = every;
  const last = kept.at(-1)?.at_ms ?? 0;
  const isWhole = samples.length > 1 && samples[0].at_ms <= last;
  kept = isWhole ? samples.slice(-MOST) : [...kept, ...samples.filter((sample) => sample.at_ms > last)].slice(-MOST);
  return kept;
}

/** A count between two samples as a rate per `ms`. */
export const rate = (amount, ms) => (amount * ms) / interval;
