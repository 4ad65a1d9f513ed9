// Each panel of the dashboard, compared with what the admin API reports.
import assert from "node:assert/strict";

/** The texts of the cells of a table, by the key of each row. */
const table = (page, name) =>
  page
    .locator(`#${name}-rows > *`)
    .evaluateAll((rows) =>
      rows.map((row) => [row.dataset.key, [...row.children].map((cell) => cell.textContent.trim())]),
    );

const texts = (page, selector) =>
  page.locator(selector).evaluateAll((nodes) => nodes.map((node) => node.textContent.trim()));
const first = (page, selector) => page.locator(selector).first().textContent();
const words = (name) => name.replaceAll("_", " ");

/** The keys of a table are the expected ones, in the same order. */
async function keys(page, name, expected) {
  assert.deepEqual(
    (await table(page, name)).map(([key]) => key),
    expected,
    name,
  );
}

/** The server must have something to compare, unless this one is known to lack it. */
function some(lacks, name, list) {
  assert.ok(list.length > 0 || lacks.has(name), `${name}: nothing to compare`);
}

const between = (value, low, high, what) =>
  assert.ok(low <= value && value <= high, `${what}: ${value} is not in ${low}..${high}`);

async function verdict({ page, api, eventually }) {
  await eventually(async () => {
    const { problems } = await api("status");
    assert.deepEqual(
      await texts(page, "#problems .what"),
      problems.map(({ what }) => what),
    );
    assert.deepEqual(
      await texts(page, "#problems code"),
      problems.map(({ next }) => next),
    );
    const title = problems.length === 0 ? "All fine" : `${problems.length} problem${problems.length === 1 ? "" : "s"}`;
    assert.equal(await first(page, "#verdict-title"), title);
  });
  const { phase, version, pid } = await api("status");
  assert.equal(await first(page, "#phase"), phase);
  assert.equal(await first(page, "#identity"), `${version}, process ${pid}`);
}

async function tiles({ page, api, format, eventually }) {
  await eventually(async () => {
    const status = await api("status");
    assert.equal(await first(page, "#tile-sessions-value"), await format("count", status.sessions));
    const [number, unit] = (await first(page, "#tile-memory-value")).split(" ");
    const shown = Number(number) * 1024 ** ["B", "KiB", "MiB", "GiB"].indexOf(unit);
    between(shown, status.process.rss * 0.8, status.process.rss * 1.2, "memory");
  });
  await eventually(async () => {
    const { interval_ms: interval, samples } = await api("samples");
    const rates = await Promise.all(samples.slice(-2).map(({ calls }) => format("decimal", (calls * 1000) / interval)));
    assert.ok(rates.includes(await first(page, "#tile-rate-value")));
  });
}

/** A call that both questions report was in flight between them, so that the page must have it. */
async function calls({ page, api, lacks, eventually }) {
  await eventually(async () => {
    const before = (await api("calls")).calls;
    const shown = new Map(await table(page, "calls"));
    const after = new Map((await api("calls")).calls.map((call) => [call.id, call]));
    const lasting = before.slice(0, 10).filter(({ id }) => after.has(id));
    some(lacks, "calls", lasting);
    for (const { id, tool, repository, principal } of lasting) {
      assert.deepEqual(shown.get(id)?.slice(0, 4), [id, tool, repository ?? "–", principal || "–"]);
    }
  });
}

async function queues({ page, api, format, eventually }) {
  await eventually(async () => {
    const status = await api("status");
    const expected = [...status.calls, { class: "opening", ...status.opening }];
    const rows = new Map(await table(page, "queues"));
    assert.equal(rows.size, expected.length);
    for (const queue of expected) {
      const [, figure, , note] = rows.get(queue.class);
      assert.equal(figure, `${await format("count", queue.running)} of ${await format("count", queue.places)} run`);
      assert.ok(note.startsWith(`${await format("count", queue.waiting)} waiting`), note);
      assert.ok(note.includes(`${await format("count", queue.rejected)} rejected`), note);
    }
  });
  await eventually(async () => {
    const { repositories } = await api("repositories");
    const waiting = repositories.filter(({ changes }) => changes.some(({ state }) => state === "waits"));
    assert.deepEqual(
      (await table(page, "waits")).map(([key]) => key),
      waiting.slice(0, 10).map(({ path }) => path),
    );
  });
}

async function latency({ page, api, lacks, format, eventually }) {
  await page.locator("#latency-order").selectOption("tool");
  await eventually(async () => {
    const old = await api("latency");
    const shown = await table(page, "latency");
    const after = new Map((await api("latency")).tools.map((tool) => [tool.tool, tool]));
    some(lacks, "latency", old.tools);
    assert.deepEqual(
      shown.map(([key]) => key),
      old.tools.map(({ tool }) => tool),
    );
    for (const [at, tool] of old.tools.entries()) {
      const [, cells] = shown[at];
      assert.equal(cells.length, 6 + old.bounds_ms.length + 1);
      const number = Number(cells[1].replaceAll(",", ""));
      between(
        number,
        Math.min(tool.calls, after.get(tool.tool).calls) * 0.8,
        after.get(tool.tool).calls * 1.2,
        `calls of ${tool.tool}`,
      );
      const p95 = await Promise.all([tool, after.get(tool.tool)].map((one) => format("duration", one.p95_ms)));
      assert.ok(p95.includes(cells[4]), `p95 of ${tool.tool}: ${cells[4]}`);
      assert.deepEqual(
        cells.slice(6).map((cell) => cell !== ""),
        tool.counts.map((count) => count > 0),
        tool.tool,
      );
    }
  });
  await page.locator("#latency-order").selectOption("p95_ms");
  const times = (await api("latency")).tools.map((tool) => tool.p95_ms);
  if (times.length > 0) {
    const [[slowest]] = await table(page, "latency");
    const found = (await api("latency")).tools.find(({ tool }) => tool === slowest);
    between(found.p95_ms, Math.max(...times) / 2, Infinity, "the slowest tool is first");
  }
}

async function errors({ page, api, lacks, format, eventually }) {
  await eventually(async () => {
    const { classes, spikes, burning, reasons } = await api("errors");
    const counted = classes.filter(({ count }) => count > 0);
    some(lacks, "errors", counted);
    const rows = new Map(await table(page, "errors"));
    assert.deepEqual([...rows.keys()].sort(), counted.map((row) => row.class).sort());
    for (const row of counted) {
      assert.equal(rows.get(row.class)[1], await format("count", row.count));
      assert.equal(rows.get(row.class)[3], await format("count", row.since_start));
    }
    const marked = (await texts(page, "#errors-spikes li")).join("\n");
    for (const spike of [...spikes, ...burning]) {
      assert.ok(marked.includes(words(spike.class)), `${spike.class} is marked`);
    }
    assert.equal((await texts(page, "#reasons-rows li")).length, Math.min(reasons.length, 20));
  });
}

async function circuits({ page, api, lacks, eventually }) {
  await eventually(async () => {
    const expected = (await api("circuits")).circuits;
    some(lacks, "circuits", expected);
    const rows = new Map(await table(page, "circuits"));
    assert.equal(rows.size, Math.min(expected.length, 10));
    for (const circuit of expected.filter(({ name }) => rows.has(name))) {
      const [, state, failures] = rows.get(circuit.name);
      assert.equal(state, circuit.stuck ? "open, stuck" : circuit.state.replace("_", "-"));
      assert.equal(failures, `${circuit.failure_count} of ${circuit.failure_threshold}`);
    }
  });
}

async function sessions({ page, api, lacks, format, eventually }) {
  await eventually(async () => {
    const expected = await api("sessions");
    some(lacks, "sessions", expected.sessions);
    const by = new Map(expected.sessions.map((session) => [session.id, session]));
    assert.equal(
      await first(page, "#sessions-count"),
      `${await format("count", expected.total)} of at most ${await format("count", expected.max)}`,
    );
    for (const [id, cells] of await table(page, "sessions")) {
      const session = by.get(id);
      assert.ok(session, `session ${id} exists`);
      assert.deepEqual(
        [cells[1], cells[2], cells[3], cells[4]],
        [session.client || "–", session.kind, session.principal || "–", session.state],
      );
    }
  });
  await page.locator("#sessions-all").check();
  await eventually(async () => {
    const { sessions: all } = await api("sessions");
    if (all.length > 12) {
      assert.equal(await first(page, "#sessions-pager span"), `1–12 of ${all.length}`);
    }
  });
  const [wanted] = (await api("sessions")).sessions.slice(-1);
  if (wanted) {
    await page.locator("#sessions-find").fill(wanted.id);
    await eventually(() => keys(page, "sessions", [wanted.id]));
    await page.locator("#sessions-rows th button").click();
    const shown = await first(page, "dialog .pairs");
    assert.ok([wanted.id, wanted.protocol, wanted.kind].every((part) => shown.includes(part)));
    await page.keyboard.press("Escape");
    await page.locator("#sessions-find").fill("");
  }
  await page.locator("#sessions-all").uncheck();
}

async function repositories({ page, api, lacks, eventually }) {
  const { repositories: expected } = await api("repositories");
  some(lacks, "repositories", expected);
  await eventually(async () => {
    const { repositories: now } = await api("repositories");
    await keys(
      page,
      "repositories",
      now.slice(0, 10).map(({ path }) => path),
    );
    const rows = new Map(await table(page, "repositories"));
    for (const { path, branch, operation, locks } of now.slice(0, 10)) {
      const [name, head, state] = rows.get(path);
      assert.ok(name.startsWith(path), name);
      assert.ok(branch === null || head === branch, `${path}: ${head}`);
      assert.ok(operation === null || state.includes(operation), `${path}: ${state}`);
      assert.ok(locks.length === 0 || state.includes("lock"), `${path}: ${state}`);
    }
  });
  if (expected.length === 0) {
    return;
  }
  const { path } = expected[0];
  const query = new URLSearchParams({ repository: path });
  await page.locator("#repositories-rows th button").first().click();
  await eventually(async () => {
    const { operations } = await api(`operations?${query}`);
    await keys(
      page,
      "operations",
      operations.slice(0, 8).map(({ id }) => id),
    );
  });
  await page.locator("#repository-status").click();
  await page.locator("#repository-text").waitFor();
  // Each answer has a mark of its own.
  const unmarked = (text) => text.replaceAll(/\[git:[0-9a-f]+\]/g, "[git:]");
  await eventually(async () => {
    const { text } = await api(`repositories/status?${query}`);
    assert.equal(unmarked(await first(page, "#repository-text")), unmarked(text));
  });
}

async function processes({ page, api, format, eventually }) {
  const pairs = (id) =>
    page
      .locator(`#${id} > div`)
      .evaluateAll((nodes) => nodes.map((node) => [...node.children].map((part) => part.textContent)));
  await eventually(async () => {
    const memory = await api("memory");
    const shown = new Map(await pairs("memory-figures"));
    assert.equal(shown.get("Limit"), memory.soft_limit === null ? "none" : await format("bytes", memory.soft_limit));
    assert.equal(shown.get("Peak"), await format("bytes", memory.peak_rss));
    const { process } = await api("status");
    const processors = new Map(await pairs("cpu-figures"));
    assert.equal(processors.get("Processors"), await format("count", process.cpu_count));
    assert.equal(processors.get("Threads"), await format("count", process.threads));
  });
  for (const name of ["memory", "cpu", "errors"]) {
    await eventually(async () => {
      const { samples } = await api("samples");
      const slider = page.locator(`#${name}-chart [role=slider]`);
      assert.equal(Number(await slider.getAttribute("aria-valuemax")), Math.max(samples.length - 1, 0));
      await slider.focus();
      await page.keyboard.press("Home");
      assert.ok((await slider.getAttribute("aria-valuetext")).startsWith(await format("clock", samples[0].at_ms)));
    });
  }
}

async function caches({ page, api, format, eventually }) {
  await eventually(async () => {
    const expected = (await api("caches")).caches;
    await keys(
      page,
      "caches",
      expected.map(({ name }) => name),
    );
    const rows = new Map(await table(page, "caches"));
    for (const { name, what, entries, limit } of expected) {
      assert.deepEqual(rows.get(name)?.slice(1, 3), [
        what,
        `${await format("count", entries)} of ${await format("count", limit)}`,
      ]);
    }
  });
}

async function held({ page, api, lacks, eventually }) {
  await eventually(async () => {
    const { held: expected } = await api("debug/held");
    some(lacks, "held", expected);
    await keys(
      page,
      "held",
      expected.map(({ id }) => id),
    );
    const rows = new Map(await table(page, "held"));
    for (const { id, tool } of expected) {
      assert.equal(rows.get(id)[1], tool);
    }
  });
}

async function log({ page, api, lacks, eventually }) {
  const { records } = await api("logs?limit=1000");
  some(lacks, "log", records);
  const sample = records.findLast(({ tool }) => tool);
  await page.locator("#log-pause").click();
  const all = await page.locator("#log-rows li").count();
  await page.locator("#log-pause").click();
  assert.ok(all > 0 || records.length === 0);
  if (!sample) {
    return;
  }
  await page.locator("#log-tool").fill(sample.tool);
  await page.locator("#log-level").selectOption(sample.level);
  await eventually(async () => {
    const lines = await texts(page, "#log-rows li");
    assert.ok(lines.length > 0 && lines.length <= 200);
    assert.ok(
      lines.every((line) => line.includes(`tool=${sample.tool} `)),
      lines[0],
    );
  });
  await page.locator("#log-text").fill("nothing has this text");
  await page.locator("#log-empty").waitFor();
  await page.locator("#log-reset").click();
  await page.locator("#log-rows li").first().waitFor();
}

export const panels = {
  verdict,
  tiles,
  calls,
  queues,
  latency,
  errors,
  circuits,
  sessions,
  repositories,
  processes,
  caches,
  held,
  log,
};
