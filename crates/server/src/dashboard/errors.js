// Errors by class, spikes, and circuit breakers.

import { post } from "./api.js";
import { Curves } from "./charts.js";
import { run } from "./dialogs.js";
import { $, Keyed, Pager, action, badge, h, mark, orEmpty, put, table, text } from "./dom.js";
import { NONE, count, counted, decimal, duration } from "./format.js";
import { add, rate } from "./samples.js";

const words = (name) => name.replaceAll("_", " ");

const chart = new Curves($("errors-chart"), {
  label: "Errors per minute over the last hour",
  height: 96,
  series: [{ name: "errors per minute", get: (sample) => rate(sample.errors, 60_000), format: decimal }],
});

const rows = table($("errors-rows"), (row) => row.class, [
  {
    class: "wrap",
    make: (cell) => cell.append(h("span"), " ", h("span", { class: "badge" })),
    show: (cell, row) => {
      put(cell.firstChild, words(row.class));
      put(cell.lastChild, row.isSpike ? "spike" : row.critical ? "critical" : "");
      mark(cell.lastChild, "data-tone", "bad");
      cell.lastChild.hidden = !row.isSpike && !row.critical;
    },
  },
  text((row) => count(row.count), "number"),
  text((row) => decimal(row.per_minute), "number"),
  text((row) => count(row.since_start), "number minor"),
]);

const spikes = new Keyed(
  $("errors-spikes"),
  (spike) => spike.key,
  () => {
    const node = h("li", { "data-tone": "bad" });
    return { node, update: (spike) => put(node, spike.text) };
  },
);

const reasons = new Keyed(
  $("reasons-rows"),
  (reason) => `${reason.class} ${reason.reason}`,
  () => {
    const name = h("span");
    const figure = h("span", { class: "figure" });
    const update = (reason) => {
      put(name, `${words(reason.reason)} (${words(reason.class)})`);
      put(figure, count(reason.count));
    };
    return { node: h("li", {}, name, figure), update };
  },
);

function errors(now) {
  const isSpike = new Set(now.spikes.map((spike) => spike.class));
  const some = now.classes.filter((row) => row.count > 0).map((row) => ({ ...row, isSpike: isSpike.has(row.class) }));
  some.sort((a, b) => b.count - a.count);
  rows.show(some);
  orEmpty("errors", some.length);
  const sum = some.reduce((all, row) => all + row.count, 0);
  put($("errors-count"), `${count(sum)} in ${duration(now.window_ms)}`);
  spikes.show([
    ...now.burning.map((burn) => ({
      key: `burning ${burn.class}`,
      text: `Now: ${words(burn.class)}, ${decimal(burn.short_per_minute)} a minute for ${duration(burn.short_ms)}`,
    })),
    ...now.spikes.map((spike) => ({
      key: `spike ${spike.class}`,
      text: `Spike: ${words(spike.class)}, ${decimal(spike.per_minute)} a minute; the threshold is ${decimal(now.threshold_per_minute)}`,
    })),
  ]);
  const spiking = new Set([...isSpike, ...now.burning.map((burn) => burn.class)]).size;
  put($("nav-errors"), spiking === 0 ? "" : counted(spiking, "spike"));
  reasons.show([...now.reasons].sort((a, b) => b.count - a.count).slice(0, 20));
  $("errors-reasons").hidden = now.reasons.length === 0;
  if ($("log-classes").childElementCount !== now.classes.length) {
    $("log-classes").replaceChildren(...now.classes.map((row) => h("option", { value: row.class })));
  }
}

const STATES = { closed: ["closed", "good"], open: ["open", "bad"], half_open: ["half-open", "warn"] };
let circuitList = [];

const pager = new Pager($("circuits-pager"), 10, () => drawCircuits());

const reset = (body) => async () => {
  const { reset: done } = await post("circuits/reset", body);
  const early = done.some((circuit) => circuit.early) ? " The last failure is recent: it may open again." : "";
  const [first] = done;
  return done.length === 1
    ? `Reset ${first.name}, which was ${words(first.was)}.${early}`
    : `Reset ${counted(done.length, "circuit")}.${early}`;
};

function nextTrial(circuit) {
  if (circuit.paused_ms != null) {
    return `paused for ${duration(circuit.paused_ms)}`;
  }
  return circuit.next_trial_ms == null
    ? NONE
    : circuit.next_trial_ms === 0
      ? "now"
      : `in ${duration(circuit.next_trial_ms)}`;
}

const circuitRows = table($("circuits-rows"), (circuit) => circuit.name, [
  text((circuit) => circuit.name, "mono wrap"),
  badge((circuit) => (circuit.stuck ? ["open, stuck", "bad"] : (STATES[circuit.state] ?? [circuit.state, "calm"]))),
  text((circuit) => `${count(circuit.failure_count)} of ${count(circuit.failure_threshold)}`, "number minor"),
  text(nextTrial, "number minor"),
  text((circuit) => count(circuit.rejected), "number minor"),
  action(
    "Reset",
    (circuit) => `Reset ${circuit.name}`,
    (circuit, button) => run(button, reset({ name: circuit.name })),
  ),
]);

function drawCircuits() {
  const order = { open: 0, half_open: 1, closed: 2 };
  const sorted = [...circuitList].sort((a, b) => order[a.state] - order[b.state] || a.name.localeCompare(b.name));
  circuitRows.show(pager.slice(sorted));
  orEmpty("circuits", sorted.length);
}

function circuits(now) {
  circuitList = now.circuits;
  const open = circuitList.filter((circuit) => circuit.state !== "closed").length;
  put($("circuits-count"), `${count(circuitList.length)}, ${open === 0 ? "all closed" : `${count(open)} not closed`}`);
  const refusing = circuitList.filter((circuit) => circuit.state === "open").length;
  put($("nav-circuits"), refusing > 0 ? `${count(refusing)} open` : open > 0 ? `${count(open)} half-open` : "");
  $("circuits-reset").disabled = open === 0;
  drawCircuits();
}

$("circuits-reset").addEventListener("click", (event) => run(event.currentTarget, reset({ all: true })));

export const topics = { errors, circuits, samples: (now) => chart.show(add(now)) };
