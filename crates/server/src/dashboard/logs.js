// The tail of the log, with filters. A filter reads matching records of the past; the stream adds those to come.

import { get, post } from "./api.js";
import { ask, report, run } from "./dialogs.js";
import { $, h, put } from "./dom.js";
import { count, timeOf } from "./format.js";

/** Records in memory, and of them in the document. */
const KEPT = 1000;
const DRAWN = 200;
const PAST = 300;
const DELAY = 250;
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
const TONES = { ERROR: "bad", WARN: "warn", INFO: "good", DEBUG: "calm", TRACE: "calm" };
const OWN = new Set(["timestamp", "level", "target", "message"]);
const FIRST = ["tool", "error_class", "code", "duration_ms", "repo"];
/** Ids are cut to what distinguishes them; the whole is in the title. */
const CUT = { session_id: 8, trace_id: 8 };
const FILTERS = ["level", "tool", "class", "session", "text"];

const scroll = $("log-lines");
let records = [];
let isPaused = false;
let missed = 0;
let asked = 0;
let timer = null;

const filter = (name) => $(`log-${name}`).value.trim();
const isFiltered = () => FILTERS.some((name) => filter(name) !== "");

/** Whether a record passes the filters, as a function that has read them once. */
function matcher() {
  const [level, tool, errorClass, session, words] = FILTERS.map(filter);
  const least = LEVELS.indexOf(level);
  const part = words.toLowerCase();
  return (record) =>
    LEVELS.indexOf(record.level) >= least &&
    (!tool || record.tool === tool) &&
    (!errorClass || record.error_class === errorClass) &&
    (!session || String(record.session_id ?? "").startsWith(session)) &&
    (!part || content(record).toLowerCase().includes(part));
}

/** The fields of a record, the most useful ones first; a part of the duration that took no time is left out. */
function fields(record) {
  const isShown = (name) => record[name] != null && !OWN.has(name) && !(name.endsWith("_ms") && record[name] === 0);
  const first = FIRST.filter((name) => record[name] != null);
  const others = Object.keys(record).filter((name) => isShown(name) && !FIRST.includes(name));
  return [...first, ...others].map((name) => [name, record[name]]);
}
const content = (record) =>
  [record.message ?? "", record.target, ...fields(record).map(([name, value]) => `${name}=${value}`)].join(" ");

function line(record) {
  const pairs = fields(record).flatMap(([name, value]) => {
    const whole = String(value);
    const isCut = whole.length > (CUT[name] ?? whole.length);
    const shown = isCut ? `${whole.slice(0, CUT[name])}…` : whole;
    return [" ", h("span", { class: "field", title: isCut && whole }, `${name}=${shown}`)];
  });
  return h(
    "li",
    {},
    h("time", { datetime: record.timestamp, title: record.timestamp }, timeOf(record.timestamp)),
    " ",
    h("span", { class: "badge", "data-tone": TONES[record.level] ?? "calm" }, record.level.toLowerCase()),
    " ",
    h(
      "span",
      { class: "record" },
      h(
        "span",
        { class: "message-text", title: record.target, "data-tone": record.error_class != null && "bad" },
        record.message ?? record.target,
      ),
      ...pairs,
    ),
  );
}

const isAtEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 30;

function append(matching) {
  const host = $("log-rows");
  const follows = isAtEnd();
  host.append(...matching.slice(-DRAWN).map(line));
  while (host.childElementCount > DRAWN) {
    host.firstElementChild.remove();
  }
  if (follows) {
    scroll.scrollTop = scroll.scrollHeight;
  }
  scroll.hidden = host.childElementCount === 0;
  $("log-empty").hidden = !scroll.hidden;
}

function redraw() {
  $("log-rows").replaceChildren();
  append(records.filter(matcher()));
  scroll.scrollTop = scroll.scrollHeight;
}

function describe() {
  const why = isPaused ? "paused" : missed > 0 ? "waits while you read above its end" : null;
  put($("log-count"), why ? `${why}, ${count(missed)} newer` : "live, UTC");
}

function logs({ records: fresh }) {
  // A reader above the end would lose the lines that are being read.
  if (isPaused || !isAtEnd()) {
    missed += fresh.length;
    describe();
    return;
  }
  // After a reconnection the first records are known already.
  const last = records.at(-1);
  const known = last
    ? fresh.findLastIndex((record) => record.timestamp === last.timestamp && content(record) === content(last))
    : -1;
  add(fresh.slice(known + 1));
}

function add(fresh) {
  if (fresh.length === 0) {
    return;
  }
  // A filtered list keeps what it found: other records would push it out.
  const matches = matcher();
  const matching = fresh.filter(matches);
  records = [...records, ...(isFiltered() ? matching : fresh)].slice(-KEPT);
  append(matching);
}

/** Reads records of the past that match; the server compares whole values of one level at a time. */
async function read() {
  asked += 1;
  const mine = asked;
  const [level, tool, errorClass, session] = FILTERS.map(filter);
  const levels = level ? LEVELS.slice(LEVELS.indexOf(level)) : [null];
  // A part of a session's id, and any text, are compared here.
  const limit = filter("text") || session ? KEPT : PAST;
  try {
    const parts = await Promise.all(levels.map((one) => get("logs", { limit, level: one, tool, class: errorClass })));
    if (mine !== asked) {
      return;
    }
    records = parts.flatMap((part) => part.records);
    records.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
    records = records.filter(matcher()).slice(-KEPT);
    missed = 0;
    describe();
    redraw();
  } catch (err) {
    report(`The log could not be read: ${err.message}`, true);
  }
}

function refilter() {
  clearTimeout(timer);
  timer = setTimeout(read, DELAY);
}

for (const name of FILTERS) {
  $(`log-${name}`).addEventListener("input", refilter);
}

$("log-reset").addEventListener("click", () => {
  for (const name of FILTERS) {
    $(`log-${name}`).value = "";
  }
  refilter();
});

$("log-pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("log-pause").setAttribute("aria-pressed", String(isPaused));
  describe();
  if (!isPaused && missed > 0) {
    read();
  }
});

scroll.addEventListener("scroll", () => {
  if (!isPaused && missed > 0 && isAtEnd()) {
    missed = 0;
    read();
  }
});

$("log-levels").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  await run(button, async () => {
    const { level, components } = await get("debug/level");
    const answer = await ask({
      title: "Log level",
      text: [
        "A level, or directives such as warn,session=debug. Empty: as configured.",
        `Components: ${components.join(", ")}.`,
      ],
      fields: [{ name: "level", label: "Level", value: level }],
      confirm: "Change",
      tone: null,
    });
    if (!answer) {
      return null;
    }
    const changed = await post("debug/level", { level: answer.level.trim() || null });
    return `The log level is ${changed.level}; it was ${changed.before}.`;
  });
});

document.addEventListener("show-log", ({ detail }) => {
  for (const name of FILTERS) {
    $(`log-${name}`).value = detail[name] ?? "";
  }
  read();
  $("log").scrollIntoView();
  $("log-title").focus({ preventScroll: true });
});

function latency({ tools }) {
  const known = tools.map((tool) => tool.tool);
  const host = $("log-tools");
  if (host.dataset.known !== known.join()) {
    host.dataset.known = known.join();
    host.replaceChildren(...known.map((value) => h("option", { value })));
  }
}

describe();

export const topics = { logs, latency };
