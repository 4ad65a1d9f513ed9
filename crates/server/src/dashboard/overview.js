// The verdict, the key figures, and what identifies the server.

import { Spark } from "./charts.js";
import { copy } from "./dialogs.js";
import { $, Keyed, h, mark, put } from "./dom.js";
import { bytes, count, counted, decimal, duration, percent } from "./format.js";
import { add, rate } from "./samples.js";

const SHOWN = 120;
const PHASES = { starting: "warn", ready: "good", draining: "warn", leaving: "warn" };

/** The panel that shows more about a command of the verdict, by the first words that match. */
const PANELS = [
  ["mcp-server-git circuits", "circuits"],
  ["mcp-server-git sessions", "sessions"],
  ["mcp-server-git errors", "errors"],
  ["mcp-server-git debug held", "held"],
  ["mcp-server-git status memory", "memory"],
  ["mcp-server-git operations", "repositories"],
  ["mcp-server-git logs", "log"],
];

const problems = new Keyed(
  $("problems"),
  (problem) => problem.what,
  ({ next }) => {
    const what = h("span", { class: "what" });
    const command = h("code", {});
    const button = h(
      "button",
      { type: "button", class: "small", click: (event) => copy(command.textContent, event.currentTarget) },
      "Copy",
    );
    const panel = PANELS.find(([start]) => next.startsWith(start))?.[1];
    const more = panel && h("a", { href: `#${panel}` }, "Show");
    const update = (problem) => {
      put(what, problem.what);
      put(command, problem.next);
      mark(button, "aria-label", `Copy the command ${problem.next}`);
      if (more) {
        mark(more, "aria-label", `Show the panel about: ${problem.what}`);
      }
    };
    return { node: h("li", {}, what, h("span", { class: "next" }, command, button, more)), update };
  },
);

const sparks = Object.fromEntries(
  ["rate", "failures", "flight", "waiting", "sessions", "memory", "cpu"].map((name) => [
    name,
    new Spark($(`tile-${name}-spark`)),
  ]),
);

function tile(name, value, note) {
  put($(`tile-${name}-value`), value);
  if (note !== undefined) {
    put($(`tile-${name}-note`), note);
  }
}

function status(now) {
  const bad = now.problems.length;
  const isReady = now.phase === "ready";
  mark($("verdict"), "data-tone", bad > 0 ? "bad" : isReady ? "good" : "warn");
  put($("verdict-title"), bad > 0 ? counted(bad, "problem") : isReady ? "All fine" : `The server is ${now.phase}`);
  const running = now.calls.reduce((sum, calls) => sum + calls.running, 0);
  put(
    $("verdict-note"),
    `${counted(now.sessions, "session")}, ${counted(running, "call")} running, store ${store(now.store)}, sandbox ${now.sandbox}`,
  );
  problems.show(now.problems);
  put($("phase"), now.phase);
  mark($("phase"), "data-tone", PHASES[now.phase]);
  put($("uptime"), `up ${duration(Math.floor(now.uptime_ms / 1000) * 1000)}`);
  put($("identity"), `${now.version}, process ${now.pid}`);
  mark($("identity"), "title", `commit ${now.commit}`);
  document.title = bad > 0 ? `(${bad}) mcp-server-git` : "mcp-server-git";
  const waiting = now.calls.reduce((sum, calls) => sum + calls.waiting, 0) + now.opening.waiting;
  const places = now.calls.reduce((sum, calls) => sum + calls.places, 0);
  tile("flight", count(now.in_flight), `${count(places)} permits`);
  tile("waiting", count(waiting), waiting === 0 ? "no queue" : "in queues");
  tile("sessions", count(now.sessions), `${count(now.evicted)} evicted`);
  tile("memory", bytes(now.process.rss), `peak ${bytes(now.process.peak_rss)}`);
  const { process_cpu_percent: own, cpu_percent: all, cpu_count: processors } = now.process;
  tile("cpu", percent(own == null ? null : own / (processors || 1)), `machine ${percent(all)}`);
}

function store({ opened, away }) {
  return away ? "unavailable" : opened ? "available" : "not used";
}

function samples(fresh) {
  const kept = add(fresh).slice(-SHOWN);
  const last = kept.at(-1);
  if (!last) {
    return;
  }
  const perSecond = kept.map((sample) => rate(sample.calls, 1000));
  const perMinute = kept.map((sample) => rate(sample.errors, 60_000));
  sparks.rate.show(perSecond);
  sparks.failures.show(perMinute);
  sparks.flight.show(kept.map((sample) => sample.in_flight));
  sparks.waiting.show(kept.map((sample) => sample.waiting));
  sparks.sessions.show(kept.map((sample) => sample.sessions));
  sparks.memory.show(kept.map((sample) => sample.rss));
  sparks.cpu.show(kept.map((sample) => sample.process_cpu_percent));
  tile("rate", decimal(perSecond.at(-1)), `peak ${decimal(Math.max(...perSecond))}`);
  const share = last.calls === 0 ? 0 : (100 * last.errors) / last.calls;
  tile("failures", decimal(perMinute.at(-1)), `${percent(share)} of calls`);
}

/** The server does not answer: what it was says nothing of what it is. */
export function unknown() {
  mark($("verdict"), "data-tone", "warn");
  put($("verdict-title"), "Not known: the server does not answer");
  put($("phase"), "unknown");
  mark($("phase"), "data-tone", "warn");
}

export const topics = { status, samples };
