// Calls in flight, the queues that they wait in, and calls held at a breakpoint.

import { post } from "./api.js";
import { ask, run } from "./dialogs.js";
import { $, Keyed, Pager, action, badge, h, mark, orEmpty, property, put, table, text } from "./dom.js";
import { NONE, count, counted, glance } from "./format.js";

const PAGE = 10;
/** How long the row of an ended call stays under the pointer or the focus. */
const ENDED_FOR = 10_000;
const STAGES = {
  held: ["held", "warn"],
  queue: ["waits: queue", "warn"],
  lock: ["waits: worktree", "warn"],
  open: ["opens", "calm"],
  run: ["runs", "good"],
};
const CLASSES = { read: "Reads", change: "Changes", network: "Remotes", opening: "Opening repositories" };

let all = [];
let total = 0;
let shown = [];

const panel = $("calls");
const pager = new Pager($("calls-pager"), PAGE, () => {
  shown = [];
  draw();
});

async function cancel(call, button) {
  const answer = await ask({
    title: `Cancel ${call.tool}?`,
    text: [`The call ${call.id} of ${call.principal || "an unnamed principal"} stops, and its client gets an error.`],
    confirm: "Cancel the call",
    cancel: "Keep it",
  });
  if (answer) {
    await run(button, async () => {
      const { cancelled } = await post("calls/cancel", { id: call.id });
      return `Cancelled ${cancelled.join(", ")}.`;
    });
  }
}

const stage = (call) =>
  call.ended ? ["ended", "calm"] : call.stopping ? ["stops", "warn"] : (STAGES[call.stage] ?? [call.stage, "calm"]);

const rows = table($("calls-rows"), (call) => call.id, [
  text((call) => call.id, "mono minor"),
  text((call) => call.tool, "mono"),
  text((call) => call.repository ?? NONE, "clip grow minor"),
  text((call) => call.principal || NONE, "minor"),
  badge(stage),
  text((call) => glance(call.elapsed_ms), "number"),
  action(
    "Cancel",
    (call) => `Cancel ${call.tool}, ${call.id}`,
    cancel,
    (call) => !call.stopping && !call.ended,
  ),
]);

/** On a touch screen the last touched place counts as hovered. */
const hovers = matchMedia("(hover: hover)");

/** While the reader points at the rows or is in them, rows keep their place: a press must not reach another call. */
const isSteady = () => $("calls-rows").matches(hovers.matches ? ":hover, :focus-within" : ":focus-within");

/** The rows shown last, those that have just ended too, and then others while there is room. */
function steady(page) {
  const now = new Map(all.map((call) => [call.id, call]));
  const time = performance.now();
  const kept = shown
    .map((call) => now.get(call.id) ?? { ...call, ended: call.ended ?? time })
    .filter((call) => call.ended === undefined || time - call.ended < ENDED_FOR);
  const known = new Set(kept.map((call) => call.id));
  return [...kept, ...page.filter((call) => !known.has(call.id)).slice(0, Math.max(0, PAGE - kept.length))];
}

function draw() {
  const page = pager.slice(all, total > all.length ? `, ${count(total)} in total` : "");
  shown = isSteady() && shown.length > 0 ? steady(page) : page;
  rows.show(shown);
  orEmpty("calls", shown.length);
  const note = shown.some((call) => call.ended) ? ", ended rows stay a while where you are" : "";
  put($("calls-count"), `${count(total)}${note}`);
}

panel.addEventListener("pointerleave", () => draw());
panel.addEventListener("focusout", () => queueMicrotask(draw));

function calls(now) {
  all = now.calls;
  total = now.total;
  put($("nav-calls"), count(total));
  draw();
}

const queues = new Keyed(
  $("queues-rows"),
  (queue) => queue.class,
  () => {
    const name = h("span", { class: "name" });
    const figure = h("span", { class: "figure" });
    const bar = h("span", { class: "meter", "aria-hidden": "true" }, h("span"));
    const note = h("span", { class: "note" });
    const update = (queue) => {
      put(name, CLASSES[queue.class] ?? queue.class);
      put(figure, `${count(queue.running)} of ${count(queue.places)} run`);
      property(bar, "--part", Math.min(1, queue.running / Math.max(queue.places, 1)).toFixed(3));
      mark(bar, "data-full", queue.running >= queue.places);
      const worktree = queue.waiting_for_worktree ? ` (${count(queue.waiting_for_worktree)} for a worktree)` : "";
      const lost = queue.lost ? `, ${counted(queue.lost, "lost thread")}` : "";
      put(note, `${count(queue.waiting)} waiting${worktree}, ${count(queue.rejected)} rejected${lost}`);
      mark(note, "data-tone", queue.waiting > 0 || queue.lost > 0 ? "warn" : null);
    };
    return { node: h("li", {}, name, figure, bar, note), update };
  },
);

function status(now) {
  queues.show([...now.calls, { class: "opening", ...now.opening }]);
  const waiting = now.calls.reduce((sum, calls) => sum + calls.waiting, 0) + now.opening.waiting;
  put($("nav-queues"), waiting === 0 ? "" : count(waiting));
}

const waits = new Keyed(
  $("waits-rows"),
  (repository) => repository.path,
  () => {
    const path = h("span", { class: "mono clip" });
    const note = h("span", { class: "note" });
    const update = (repository) => {
      const names = (state) =>
        repository.changes.filter((change) => change.state === state).map((change) => change.tool);
      const [runs, waiting] = [names("runs"), names("waits")];
      put(path, repository.path);
      mark(path, "title", repository.path);
      put(
        note,
        `${runs.join(", ") || "another process"} runs; ${counted(waiting.length, "change")} waiting: ${waiting.join(", ")}`,
      );
    };
    return { node: h("li", {}, path, note), update };
  },
);

function repositories(now) {
  const waiting = now.repositories.filter((repository) =>
    repository.changes.some((change) => change.state === "waits"),
  );
  waits.show(waiting.slice(0, PAGE));
  $("waits-empty").hidden = waiting.length > 0;
}

const sizes = (call) =>
  Object.entries(call.arguments)
    .map(([name, type]) => `${name}: ${type}`)
    .join(", ") || "none";

async function release(call, button, abort) {
  const question = {
    title: `Abort ${call.tool}?`,
    text: [`The held call ${call.id} ends without running, and its client gets an error.`],
    confirm: "Abort the call",
    cancel: "Keep it",
  };
  if (!abort || (await ask(question))) {
    await run(button, async () => {
      const { released } = await post("debug/resume", { id: call.id, abort });
      return `${abort ? "Aborted" : "Resumed"} ${released.join(", ")}.`;
    });
  }
}

const heldRows = table($("held-rows"), (call) => call.id, [
  text((call) => call.id, "mono minor"),
  text((call) => call.tool, "mono"),
  text(sizes, "clip grow minor"),
  text((call) => glance(call.held_ms), "number"),
  action(
    "Resume",
    (call) => `Resume ${call.tool}, ${call.id}`,
    (call, button) => release(call, button, false),
  ),
  action(
    "Abort",
    (call) => `Abort ${call.tool}, ${call.id}`,
    (call, button) => release(call, button, true),
  ),
]);

function held(now) {
  put($("held-count"), count(now.held.length));
  put($("nav-held"), now.held.length === 0 ? "" : count(now.held.length));
  heldRows.show(now.held.slice(0, 50));
  orEmpty("held", now.held.length);
  $("held-resume").disabled = now.held.length === 0;
}

$("held-resume").addEventListener("click", (event) =>
  run(event.currentTarget, async () => {
    const { released } = await post("debug/resume", { id: null, abort: false });
    return `Resumed ${counted(released.length, "call")}.`;
  }),
);

export const topics = { calls, status, repositories, held };
