// The page: access first, then live panels. Each panel is a module whose `topics` take what the stream sends.

import { topics as actions } from "./actions.js";
import { get, takeTicket, token } from "./api.js";
import { topics as calls } from "./calls.js";
import { $, mark, put } from "./dom.js";
import { topics as errors } from "./errors.js";
import { counted } from "./format.js";
import { topics as latency } from "./latency.js";
import { topics as logs } from "./logs.js";
import { topics as overview, unknown } from "./overview.js";
import { topics as processes } from "./process.js";
import { topics as repositories } from "./repositories.js";
import { topics as sessions } from "./sessions.js";
import { Stream } from "./stream.js";

const GATES = { 0: "gate-wait", 401: "gate-token", 403: "gate-right", 404: "gate-off" };
const RETRY = 3000;

const takers = new Map();
for (const panel of [overview, actions, calls, latency, errors, sessions, repositories, processes, logs]) {
  for (const [topic, take] of Object.entries(panel)) {
    takers.set(topic, [...(takers.get(topic) ?? []), take]);
  }
}

/** One panel that fails does not stop the others. */
function take(topic, json) {
  for (const panel of takers.get(topic) ?? []) {
    try {
      panel(json);
    } catch (err) {
      console.error(topic, err);
    }
  }
}

let retryTimer = null;
let isFollowed = false;
let firstVersion = null;

const stream = new Stream([...takers.keys()], {
  event: take,
  state: (state, delay) => connection(state, delay),
  refused: (error) => {
    // What a restarted server or a proxy answers for a moment ends by itself.
    if (error.status !== 401 && error.status !== 403 && error.status !== 404) {
      return true;
    }
    stream.stop();
    gate(error);
    return false;
  },
});

const STATES = {
  live: ["Live", "good"],
  connecting: ["Connecting", "calm"],
  hidden: ["Paused while hidden", "calm"],
  lost: ["Not live", "bad"],
};

function connection(state, delay) {
  const isLost = state === "lost" || (state === "connecting" && !$("lost").hidden);
  const [word, tone] = STATES[isLost ? "lost" : state];
  put($("live"), word);
  mark($("live"), "data-tone", tone);
  $("lost").hidden = !isLost;
  mark($("board"), "data-stale", isLost);
  if (isLost) {
    unknown();
  }
  if (state === "lost") {
    put(
      $("lost-text"),
      `Connection lost, retrying in ${counted(Math.max(1, Math.round(delay / 1000)), "second")}. The figures below are the last ones.`,
    );
  } else if (isLost) {
    put($("lost-text"), "Connection lost, retrying now. The figures below are the last ones.");
  } else if (state === "live") {
    refresh();
  }
}

/** What the token permits may have changed with a restart. */
async function refresh() {
  try {
    show(await get("access"));
  } catch {
    // The stream reports it.
  }
}

function show({ can_change: canChange, scopes, principal, version }) {
  firstVersion ??= version;
  put($("newer").firstElementChild, `The server now has version ${version}, this page is of ${firstVersion}.`);
  $("newer").hidden = version === firstVersion;
  const missing = scopes.includes("admin")
    ? "This server permits no changes over HTTP."
    : "Changes need the scope admin.";
  mark(document.body, "data-can-change", canChange);
  put(
    $("readonly"),
    `Read-only: ${missing} You are ${principal || "unnamed"}${scopes.length > 0 ? ` with ${scopes.join(", ")}` : ""}.`,
  );
  $("readonly").hidden = canChange;
}

function explain(name, { status, message }) {
  const why = `${message.charAt(0).toUpperCase()}${message.slice(1).replace(/\.$/, "")}.`;
  if (name === "gate-wait") {
    return `${status === 0 ? "" : `${why} `}This page tries again every ${RETRY / 1000} seconds.`;
  }
  if (status === 401) {
    return token.get()
      ? "This token or ticket is wrong, or has expired."
      : "This server asks for one before it shows anything.";
  }
  return why;
}

/** Shows one of the gates in place of the panels, or the panels. */
function gate(error) {
  const name = error ? (GATES[error.status] ?? "gate-wait") : null;
  for (const id of Object.values(GATES)) {
    $(id).hidden = id !== name;
  }
  $("board").hidden = name !== null;
  $("panels").hidden = name !== null;
  if (!error) {
    return;
  }
  put($(`${name}-text`), explain(name, error));
  if (name === "gate-wait") {
    retryTimer = setTimeout(begin, RETRY);
  }
  if (!$(name).contains(document.activeElement)) {
    $(name === "gate-token" ? "gate-input" : `${name}-title`).focus();
  }
}

async function begin() {
  clearTimeout(retryTimer);
  try {
    show(await get("access"));
  } catch (err) {
    gate(err);
    return;
  }
  const wasAsked = document.activeElement?.closest(".gate");
  gate(null);
  if (wasAsked) {
    $("verdict-title").focus();
  }
  stream.start();
  follow();
}

/** Marks the panel that is being read in the navigation. */
function follow() {
  if (isFollowed) {
    return;
  }
  isFollowed = true;
  const links = new Map([...document.querySelectorAll("#panels a")].map((link) => [link.hash.slice(1), link]));
  const inView = new Set();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        inView[isIntersecting ? "add" : "delete"](target.id);
      }
      const first = [...links.keys()].find((id) => inView.has(id));
      links.forEach((link, id) => mark(link, "aria-current", id === first && "true"));
    },
    { rootMargin: "-15% 0px -60% 0px" },
  );
  for (const id of links.keys()) {
    observer.observe($(id));
  }
}

const THEMES = ["system", "light", "dark"];
let theme = document.documentElement.dataset.theme ?? "system";

function describeTheme() {
  put($("theme"), `Theme: ${theme}`);
}

$("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  mark(document.documentElement, "data-theme", theme !== "system" && theme);
  describeTheme();
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Storage may be forbidden: then the theme is of this visit.
  }
});
describeTheme();

$("gate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set($("gate-input").value.trim());
  $("gate-input").value = "";
  begin();
});
$("gate-other").addEventListener("click", () => gate({ status: 401, message: "Enter another token" }));
for (const button of document.querySelectorAll("[data-retry]")) {
  button.addEventListener("click", begin);
}
$("newer")
  .querySelector("button")
  .addEventListener("click", () => location.reload());
$("lost-retry").addEventListener("click", () => stream.retry());
addEventListener("hashchange", () => {
  if (location.hash.includes("ticket=")) {
    takeTicket();
    begin();
  }
});

takeTicket();
begin();
