// Each action of the dashboard, and its effect as the admin API reports it. An action returns the time until its answer, in
// milliseconds, or nothing if this server lacks what it acts on.
import assert from "node:assert/strict";

const MOST = 1000;

/** Waits for the message of an action. The page measures it: from the last click of `press` to the message. */
async function answered({ page, isBench }, press, expected) {
  const watch = await page.evaluateHandle(() => {
    const messages = document.getElementById("messages");
    messages.replaceChildren();
    let began = 0;
    const click = () => {
      began = performance.now();
    };
    document.addEventListener("click", click, { capture: true });
    return {
      took: new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          observer.disconnect();
          document.removeEventListener("click", click, { capture: true });
          resolve(Math.round(performance.now() - began));
        });
        observer.observe(messages, { childList: true });
      }),
    };
  });
  await press();
  const text = await page.locator("#messages .message p").first().textContent();
  const took = await watch.evaluate((watched) => watched.took);
  assert.match(text, expected);
  assert.ok(!isBench || took < MOST, `${text}: after ${took} ms`);
  return took;
}

const confirm = ({ page }) => page.locator("dialog[open] button[type=submit]").click();

/** A question whose safe answer has no effect. */
async function asks({ page }, button) {
  await button.click();
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await button.click();
  await page.locator("dialog[open]").waitFor();
}

/** Whether there is something to act on; a server that should have it fails. */
function has({ lacks }, name, list) {
  assert.ok(list.length > 0 || lacks.has(name), `${name}: nothing to act on`);
  return list.length > 0;
}

const row = (page, name, key) => page.locator(`#${name}-rows > [data-key=${JSON.stringify(key)}]`);

/** The oldest calls last longest, but one may end before the answer. */
async function cancelCall(scene) {
  const { page, api } = scene;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { calls } = await api("calls");
    const [call] = calls.filter(({ stopping }) => !stopping);
    if (!has(scene, "calls", call ? [call] : [])) {
      return undefined;
    }
    const button = row(page, "calls", call.id).getByRole("button", { name: "Cancel" });
    await button.waitFor();
    await asks(scene, button);
    const took = await answered(scene, () => confirm(scene), /./);
    const text = await page.locator("#messages .message p").first().textContent();
    if (text === `Cancelled ${call.id}.`) {
      await scene.eventually(async () => {
        const now = (await api("calls")).calls.find(({ id }) => id === call.id);
        assert.ok(!now || now.stopping, "the call stops");
      });
      return took;
    }
    (scene.expected ??= []).push("404");
  }
  assert.fail("every call ended before it could be cancelled");
}

async function resumeHeld(scene) {
  const { page, api, eventually } = scene;
  const { held } = await api("debug/held");
  if (!has(scene, "held", held)) {
    return undefined;
  }
  const press = row(page, "held", held[0].id).getByRole("button", { name: "Resume" });
  const took = await answered(scene, () => press.click(), new RegExp(`^Resumed ${held[0].id}`));
  assert.ok((await api("debug/held")).held.every(({ id }) => id !== held[0].id));
  if (held.length > 1) {
    await asks(scene, row(page, "held", held[1].id).getByRole("button", { name: "Abort" }));
    await answered(scene, () => confirm(scene), new RegExp(`^Aborted ${held[1].id}`));
    assert.ok((await api("debug/held")).held.every(({ id }) => id !== held[1].id));
  }
  if (held.length > 2) {
    await answered(scene, () => page.locator("#held-resume").click(), /^Resumed \d+ calls?\.$/);
    await eventually(async () => assert.equal((await api("debug/held")).held.length, 0));
  }
  return took;
}

async function resetCircuit(scene) {
  const { page, api } = scene;
  const { circuits } = await api("circuits");
  const open = circuits.find(({ state }) => state !== "closed") ?? circuits[0];
  if (!has(scene, "circuits", circuits)) {
    return undefined;
  }
  const press = row(page, "circuits", open.name).getByRole("button", { name: "Reset" });
  const took = await answered(scene, () => press.click(), /^Reset .*, which was /);
  assert.equal((await api("circuits")).circuits.find(({ name }) => name === open.name).state, "closed");
  const rest = (await api("circuits")).circuits.filter(({ state }) => state !== "closed");
  if (rest.length > 0) {
    await answered(scene, () => page.locator("#circuits-reset").click(), /^Reset /);
    assert.ok((await api("circuits")).circuits.every(({ state }) => state === "closed"));
  }
  return took;
}

async function closeSession(scene) {
  const { page, api } = scene;
  const { sessions } = await api("sessions");
  if (!has(scene, "sessions", sessions)) {
    return undefined;
  }
  const key = await page.locator("#sessions-rows > tr").first().getAttribute("data-key");
  await asks(scene, row(page, "sessions", key).getByRole("button", { name: `Close session ${key}` }));
  const took = await answered(scene, () => confirm(scene), /^Closed 1 session\.$/);
  assert.ok((await api("sessions")).sessions.every(({ id }) => id !== key));
  return took;
}

async function reapSessions(scene) {
  const { page, api } = scene;
  await asks(scene, page.locator("#sessions-reap"));
  await page.locator("dialog input[name=minutes]").fill("1");
  const took = await answered(scene, () => confirm(scene), /^Closed \d+ idle sessions?\.$/);
  const left = (await api("sessions?idle=60")).sessions.filter(
    ({ in_flight: open, idle_ms: idle }) => open === 0 && idle > 65_000,
  );
  assert.deepEqual(left, []);
  return took;
}

async function clearCaches(scene) {
  const { page, api, eventually } = scene;
  const { caches } = await api("caches");
  const [cache] = [...caches].sort((a, b) => b.entries - a.entries);
  const press = row(page, "caches", cache.name).getByRole("button", { name: "Clear" });
  const took = await answered(scene, () => press.click(), new RegExp(`^Cleared ${cache.name}: `));
  await eventually(async () => {
    const now = (await api("caches")).caches.find(({ name }) => name === cache.name);
    assert.ok(now.entries <= cache.entries);
  });
  await answered(scene, () => page.locator("#caches-clear").click(), /^Cleared .*entr(y|ies)\.$/);
  await answered(scene, () => page.locator("#memory-trim").click(), /^Trimmed /);
  return took;
}

async function changeLevel(scene) {
  const { page, api } = scene;
  const change = async (level) => {
    await page.locator("#log-levels").click();
    await page.locator("dialog input[name=level]").fill(level);
    return answered(scene, () => confirm(scene), /^The log level is /);
  };
  const took = await change("warn,session=debug");
  assert.equal((await api("status")).configuration.log_level, "warn,session=debug");
  await change("");
  assert.notEqual((await api("status")).configuration.log_level, "warn,session=debug");
  return took;
}

async function undoChange(scene) {
  const { page, api, eventually } = scene;
  const { repositories } = await api("repositories");
  let found = null;
  for (const { path } of repositories.slice(0, 10)) {
    const { id, text } = await api("operations/undo", { repository: path });
    found ??= id === null ? null : { path, id, text };
  }
  if (!has(scene, "undo", found ? [found] : [])) {
    return undefined;
  }
  await row(page, "repositories", found.path).getByRole("button").click();
  await page.locator("#repository-undo").click();
  await page.locator("dialog[open] pre").waitFor();
  // Each answer has a mark and an age of its own.
  const lasting = (text) => text.replaceAll(/\[git:[0-9a-f]+\]/g, "[git:]").replace(/\d+ seconds? ago/, "ago");
  assert.equal(lasting(await page.locator("dialog[open] pre").textContent()), lasting(found.text));
  const took = await answered(scene, () => confirm(scene), /./);
  const query = new URLSearchParams({ repository: found.path });
  await eventually(async () => {
    const change = (await api(`operations?${query}`)).operations.find(({ id }) => id === found.id);
    assert.equal(change?.state, "undone");
    assert.ok((await page.locator("#operations-rows tr").allTextContents()).some((text) => text.includes("undone")));
  });
  return took;
}

async function drainAndResume(scene) {
  const { page, api, eventually } = scene;
  await asks(scene, page.locator("#drain"));
  await page.locator("dialog input[name=timeout]").fill("0");
  const took = await answered(scene, () => confirm(scene), /^Drained: /);
  assert.equal((await api("status")).phase, "draining");
  await page.locator("#problems li").first().waitFor();
  await page.locator("#resume").waitFor();
  await answered(scene, () => page.locator("#resume").click(), /^Resumed: the server is ready\.$/);
  assert.equal((await api("status")).phase, "ready");
  await eventually(async () => assert.equal(await page.locator("#phase").textContent(), "ready"));
  return took;
}

async function recover(scene) {
  const { page, api } = scene;
  let first;
  for (const component of ["validation", ""]) {
    await asks(scene, page.locator("#recover"));
    await page.locator("dialog select").selectOption(component);
    const began = performance.now();
    await confirm(scene);
    await page.getByRole("heading", { name: "Recovery succeeded" }).waitFor();
    first ??= Math.round(performance.now() - began);
    assert.ok((await page.locator("dialog .pairs dt").count()) > 0);
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await page.locator("dialog").waitFor({ state: "detached" });
  }
  assert.equal((await api("status")).phase, "ready");
  return first;
}

/** Without a supervisor the server refuses, and the page reports its sentence. */
async function restart(scene) {
  const { page, api, lacks, eventually } = scene;
  const { pid } = await api("status");
  await asks(scene, page.locator("#restart"));
  (scene.expected ??= []).push("409", "ERR_", "503");
  if (lacks.has("restart")) {
    return answered(scene, () => confirm(scene), /./);
  }
  const took = await answered(
    { ...scene, isBench: false },
    () => confirm(scene),
    /^Restarted: process \d+ replaces \d+\.$/,
  );
  await eventually(async () => assert.ok(!(await page.locator("#identity").textContent()).endsWith(` ${pid}`)));
  await page.locator("#live", { hasText: "Live" }).waitFor();
  return took;
}

export const actions = {
  cancelCall,
  resumeHeld,
  resetCircuit,
  closeSession,
  reapSessions,
  clearCaches,
  changeLevel,
  undoChange,
  drainAndResume,
  recover,
  restart,
};
