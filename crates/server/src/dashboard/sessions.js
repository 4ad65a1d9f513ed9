// Sessions: the stream carries those idle longest, a list of all is read on demand.

import { get, post } from "./api.js";
import { ask, details, report, run } from "./dialogs.js";
import { $, Pager, action, badge, h, orEmpty, put, table, text } from "./dom.js";
import { NONE, age, count, counted, duration } from "./format.js";

const PAGE = 12;
/** Maximum number of sessions kept in the page. */
const MOST = 5000;
/** Time between two readings of all sessions. */
const REFRESH = 5000;
const STATES = {
  created: "calm",
  active: "good",
  paused: "warn",
  error: "bad",
  closing: "warn",
  closed: "calm",
  kept: "calm",
};

let latest = null;
let whole = null;
let readAt = 0;
let isReading = false;
let beats = "";

$("sessions-state").append(...Object.keys(STATES).map((state) => h("option", { value: state }, state)));

const pager = new Pager($("sessions-pager"), PAGE, () => draw());

async function close(session, button) {
  const running = session.in_flight > 0 ? ` ${counted(session.in_flight, "request")} in flight will stop.` : "";
  const answer = await ask({
    title: "Close this session?",
    text: [`${session.client || "An unnamed client"} must connect again.${running}`, session.id],
    confirm: "Close the session",
    cancel: "Keep it",
  });
  if (answer) {
    await run(button, async () => {
      const { closed } = await post(`sessions/${encodeURIComponent(session.id)}/close`);
      whole = whole?.filter((kept) => !closed.includes(kept.id)) ?? null;
      draw();
      return `Closed ${counted(closed.length, "session")}.`;
    });
  }
}

function show(session) {
  const pairs = [
    ["Session", session.id],
    ["Client", session.client || NONE],
    ["Principal", session.principal || NONE],
    ["Transport", session.kind],
    ["Protocol", session.protocol],
    ["State", session.state],
    ["Idle", duration(session.idle_ms)],
    ["Age", duration(session.age_ms)],
    ["Requests", count(session.requests)],
    ["In flight", count(session.in_flight)],
    ["Missed heartbeats", session.owes_beats === false ? "owes none" : count(session.missed)],
    ["Faulty messages", count(session.faults)],
  ];
  if (session.failed) {
    pairs.push(["Closed for", `${session.failed.class}: ${session.failed.why}`]);
  }
  const log = () => document.dispatchEvent(new CustomEvent("show-log", { detail: { session: session.id } }));
  details("Session", pairs, [["Show its log", log]]);
}

const rows = table($("sessions-rows"), (session) => session.id, [
  {
    make: (cell, current) => {
      const button = h("button", { type: "button", class: "link mono", click: () => show(current()) });
      // Without room for the column of clients.
      cell.append(button, h("span", { class: "phone muted" }));
    },
    show: (cell, session) => {
      put(cell.firstChild, session.id.length > 10 ? `${session.id.slice(0, 8)}…` : session.id);
      cell.firstChild.title = session.id;
      put(cell.lastChild, session.client);
    },
  },
  text((session) => session.client || NONE, "clip grow minor"),
  text((session) => session.kind, "minor"),
  text((session) => session.principal || NONE, "minor extra"),
  badge((session) => [session.state, STATES[session.state] ?? "calm"]),
  text((session) => age(session.idle_ms), "number"),
  text((session) => count(session.requests), "number minor"),
  text((session) => count(session.in_flight), "number minor extra"),
  text((session) => (session.owes_beats === false ? NONE : count(session.missed)), "number minor extra"),
  action("Close", (session) => `Close session ${session.id}`, close),
]);

function draw() {
  if (!latest) {
    return;
  }
  const wanted = $("sessions-find").value.trim().toLowerCase();
  const state = $("sessions-state").value;
  const from = whole ?? latest.sessions;
  const matches = (session) =>
    (!state || session.state === state) &&
    (!wanted || [session.id, session.client, session.principal].some((part) => part.toLowerCase().includes(wanted)));
  const found = from.filter(matches);
  const note =
    !whole && latest.total > from.length ? `; the ${count(from.length)} idle longest of ${count(latest.total)}` : "";
  rows.show(pager.slice(found, note));
  orEmpty("sessions", found.length);
}

async function readAll() {
  if (isReading || performance.now() - readAt < REFRESH) {
    return;
  }
  isReading = true;
  try {
    const { sessions: read } = await get("sessions");
    whole = $("sessions-all").checked ? read.slice(0, MOST) : null;
    draw();
  } catch (err) {
    report(err.message, true);
    $("sessions-all").checked = false;
    whole = null;
  } finally {
    isReading = false;
    readAt = performance.now();
  }
}

$("sessions-all").addEventListener("change", () => {
  whole = null;
  readAt = -REFRESH;
  pager.first();
  if ($("sessions-all").checked) {
    readAll();
  } else {
    draw();
  }
});
for (const id of ["sessions-find", "sessions-state"]) {
  $(id).addEventListener("input", () => {
    pager.first();
    draw();
  });
}

$("sessions-reap").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const answer = await ask({
    title: "Close idle sessions?",
    text: ["Their clients must connect again. A session with a request in flight stays."],
    fields: [
      {
        name: "minutes",
        label: "Idle for at least (minutes)",
        value: "30",
        input: { type: "number", min: "1", max: "10080", required: true },
      },
    ],
    confirm: "Close idle sessions",
  });
  if (answer) {
    await run(button, async () => {
      const { closed } = await post("sessions/reap", { idle: Math.round(Number(answer.minutes) * 60) });
      return `Closed ${counted(closed.length, "idle session")}.`;
    });
  }
});

function sessions(now) {
  latest = now;
  put($("sessions-count"), `${count(now.total)} of at most ${count(now.max)}`);
  put($("nav-sessions"), count(now.total));
  const kept = now.kept == null ? "" : `, ${count(now.kept)} kept in the store`;
  const quiet = `${count(now.idle)} idle longer than ${duration(now.idle_longer_than_ms)}`;
  put(
    $("sessions-note"),
    `${count(now.active)} active, ${quiet}, ${count(now.error)} closed for a fault${kept}. ${beats}`,
  );
  if ($("sessions-all").checked) {
    readAll();
  }
  draw();
}

function heartbeats(now) {
  const late = now.sessions.filter((session) => session.late).length;
  const every = `Heartbeats every ${duration(now.interval_ms)}`;
  beats = now.running
    ? `${every}, ${late === 0 ? "none late" : `${count(late)} late`}.`
    : "The heartbeat task does not run.";
}

export const topics = { heartbeats, sessions };
