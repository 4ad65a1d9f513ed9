// Numbers, sizes and times as text. Pure functions: the browser test compares panels with the API through them.

const WHOLE = new Intl.NumberFormat("en");
const TENTH = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What stands for a value that the server does not have. */
export const NONE = "–";

export const count = (number) => (number == null ? NONE : WHOLE.format(number));

export const decimal = (number) => (number == null ? NONE : TENTH.format(number));

/** A number of things: `1 session`, `2 sessions`. */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A count in at most four characters, for narrow cells. */
export function brief(number) {
  if (number < 1000) {
    return String(number);
  }
  if (number < 999_500) {
    return number < 9950 ? `${(number / 1000).toFixed(1)}k` : `${Math.round(number / 1000)}k`;
  }
  return `${(number / 1e6).toFixed(number < 9.95e6 ? 1 : 0)}M`;
}

/** A duration of milliseconds, in its two largest units. */
export function duration(ms) {
  if (ms == null) {
    return NONE;
  }
  if (ms < SECOND) {
    return `${Math.round(ms)} ms`;
  }
  if (ms < MINUTE) {
    return `${ms < 10 * SECOND ? (Math.floor(ms / 100) / 10).toFixed(1) : Math.floor(ms / SECOND)} s`;
  }
  const pair = (large, big, small, little) => {
    const rest = Math.floor((ms % large) / small);
    return `${Math.floor(ms / large)} ${big}${rest ? ` ${rest} ${little}` : ""}`;
  };
  if (ms < HOUR) {
    return pair(MINUTE, "min", SECOND, "s");
  }
  return ms < DAY ? pair(HOUR, "h", MINUTE, "min") : pair(DAY, "d", HOUR, "h");
}

/** A duration of milliseconds in its largest unit, rounded down: for columns that need no more. */
export function age(ms) {
  if (ms == null) {
    return NONE;
  }
  const [size, unit] = [
    [DAY, "d"],
    [HOUR, "h"],
    [MINUTE, "min"],
  ].find(([least]) => ms >= least) ?? [SECOND, "s"];
  return `${Math.floor(ms / size)} ${unit}`;
}

/** A duration for columns that are read at a glance: exact only below a minute. */
export const glance = (ms) => (ms < MINUTE ? duration(ms) : age(ms));

/** A size of bytes, in binary units. */
export function bytes(size) {
  if (size == null) {
    return NONE;
  }
  const power = Math.min(Math.floor(Math.log2(Math.max(Math.abs(size), 1)) / 10), UNITS.length - 1);
  const value = size / 1024 ** power;
  return `${power === 0 || Math.abs(value) >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

export const percent = (value) => (value == null ? NONE : `${value < 10 ? TENTH.format(value) : Math.round(value)} %`);

/** The part of `found` in all of a cache's look-ups. */
export const hitRate = (hits, misses) => (hits + misses === 0 ? NONE : percent((100 * hits) / (hits + misses)));

/** The time of day of a moment in milliseconds since 1970, where the reader is. */
export const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

/** Time since a moment in milliseconds since 1970. */
export const ago = (at) => `${age(Math.max(0, Date.now() - at))} ago`;

/** The time of day in a timestamp of RFC 3339. */
export const timeOf = (timestamp) => timestamp.slice(11, 23);
