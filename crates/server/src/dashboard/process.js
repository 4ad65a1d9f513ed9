// Memory, processors and caches of the process.

import { post } from "./api.js";
import { Curves } from "./charts.js";
import { run } from "./dialogs.js";
import { $, Keyed, action, h, orEmpty, put, table, text } from "./dom.js";
import { NONE, bytes, count, counted, decimal, duration, hitRate, percent } from "./format.js";
import { add } from "./samples.js";

let processors = 1;

const memoryChart = new Curves($("memory-chart"), {
  label: "Memory over the last hour",
  base: 1024,
  series: [{ name: "resident memory", get: (sample) => sample.rss, format: bytes }],
});

const own = (sample) => (sample.process_cpu_percent == null ? null : sample.process_cpu_percent / processors);

const cpuChart = new Curves($("cpu-chart"), {
  label: "Use of all processors over the last hour",
  top: 100,
  series: [
    { name: "this server", get: own, format: percent },
    { name: "whole machine", get: (sample) => sample.cpu_percent, format: percent },
  ],
});

/** Pairs of a name and a figure. */
const figures = (id) =>
  new Keyed(
    $(id),
    ([name]) => name,
    ([name]) => {
      const value = h("dd");
      return { node: h("div", {}, h("dt", {}, name), value), update: ([, figure]) => put(value, figure) };
    },
  );

const memoryFigures = figures("memory-figures");
const cpuFigures = figures("cpu-figures");

function samples(now) {
  const kept = add(now);
  memoryChart.show(kept);
  cpuChart.show(kept);
}

function memory(now) {
  const growth = now.bytes_per_hour;
  memoryFigures.show([
    ["Resident", bytes(now.rss)],
    ["Peak", bytes(now.peak_rss)],
    ["Allocated", bytes(now.allocated)],
    ["Free in allocator", bytes(now.allocator_free)],
    ["Limit", now.soft_limit == null ? "none" : bytes(now.soft_limit)],
    ["Growth per hour", growth == null ? NONE : `${growth > 0 ? "+" : ""}${bytes(growth)}`],
  ]);
  put($("nav-memory"), now.refuses_calls ? "full" : "");
}

function status(now) {
  const { process } = now;
  processors = process.cpu_count || 1;
  cpuFigures.show([
    ["Processors", count(process.cpu_count)],
    ["Load, 1 min", decimal(process.load_average?.[0])],
    ["Processor time", process.cpu_seconds == null ? NONE : duration(1000 * process.cpu_seconds)],
    ["Threads", count(process.threads)],
    ["Descriptors", `${count(process.descriptors)} of ${count(process.max_descriptors)}`],
    ["Runtime lag", `${decimal(process.runtime_lag_ms)} ms`],
    ["Longest lag", `${decimal(process.runtime_lag_max_ms)} ms`],
  ]);
}

$("memory-trim").addEventListener("click", (event) =>
  run(event.currentTarget, async () => {
    const { recovered, cleared } = await post("memory/trim");
    return `Trimmed ${bytes(recovered)}, and cleared ${counted(cleared.length, "cache")}.`;
  }),
);

async function clear(name) {
  const { cleared } = await post("caches/clear", { name });
  const entries = cleared.reduce((sum, cache) => sum + cache.entries, 0);
  return `Cleared ${cleared.map((cache) => cache.name).join(", ")}: ${entries === 1 ? "1 entry" : `${count(entries)} entries`}.`;
}

const rows = table($("caches-rows"), (cache) => cache.name, [
  text((cache) => (cache.enabled ? cache.name : `${cache.name} (disabled)`), "mono"),
  text((cache) => cache.what, "clip grow minor"),
  text((cache) => `${count(cache.entries)} of ${count(cache.limit)}`, "number"),
  text((cache) => count(cache.hits + cache.misses), "number minor"),
  text((cache) => hitRate(cache.hits, cache.misses), "number minor"),
  action(
    "Clear",
    (cache) => `Clear ${cache.name}`,
    (cache, button) => run(button, () => clear(cache.name)),
  ),
]);

$("caches-clear").addEventListener("click", (event) => run(event.currentTarget, () => clear(null)));

function caches(now) {
  put($("caches-count"), `swept every ${duration(now.sweep_interval_ms)}`);
  rows.show(now.caches);
  orEmpty("caches", now.caches.length);
}

export const topics = { status, samples, memory, caches };
