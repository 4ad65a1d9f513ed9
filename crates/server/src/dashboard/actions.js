// What an operator does to the whole server: drain, resume, restart, recover.

import { post } from "./api.js";
import { ask, details, run } from "./dialogs.js";
import { $ } from "./dom.js";
import { counted } from "./format.js";

/** Components that `recover` restarts alone. The server names them too, when it refuses another. */
const COMPONENTS = ["heartbeat", "sweep", "probes", "store", "validation"];
const TIMEOUT = {
  name: "timeout",
  label: "Seconds that running calls may continue",
  value: "30",
  input: { type: "number", min: "0", max: "3600", required: true },
};

let inFlight = 0;
let isFirst = true;

/** Runs `act` for a button that is pressed. */
const press = (id, act) => $(id).addEventListener("click", (event) => act(event.currentTarget));

press("drain", async (button) => {
  const answer = await ask({
    title: "Drain the server?",
    text: [`It accepts no new calls until you resume it. ${counted(inFlight, "call")} may finish.`],
    fields: [TIMEOUT],
    confirm: "Drain",
  });
  if (answer) {
    await run(button, async () => {
      const { left } = await post("drain", { timeout: Number(answer.timeout) });
      return left === 0 ? "Drained: no call runs." : `Drained: ${counted(left, "call")} still in flight.`;
    });
  }
});

press("resume", (button) =>
  run(button, async () => {
    const { phase } = await post("resume");
    return `Resumed: the server is ${phase}.`;
  }),
);

press("restart", async (button) => {
  const answer = await ask({
    title: "Restart the server?",
    text: ["A successor takes over its sockets and sessions. Calls that run longer than the time below are stopped."],
    fields: [TIMEOUT],
    confirm: "Restart",
  });
  if (answer) {
    await run(button, async () => {
      const { pid, successor } = await post("restart", { timeout: Number(answer.timeout) });
      return `Restarted: process ${successor} replaces ${pid}.`;
    });
  }
});

press("recover", async (button) => {
  const answer = await ask({
    title: "Recover the server?",
    text: [
      "All steps stop running calls, clear caches, reset circuits, close sessions and restart components.",
      "One component is restarted without stopping calls.",
    ],
    fields: [
      {
        name: "component",
        label: "What to recover",
        options: [["", "Everything: all steps"], ...COMPONENTS.map((component) => [component, `Only ${component}`])],
      },
    ],
    confirm: "Recover",
  });
  if (answer) {
    await run(button, async () => {
      const { ok, steps } = await post("recover", answer.component ? { component: answer.component } : {});
      const failed = steps.filter((step) => !step.ok).length;
      details(
        ok === false || failed > 0 ? `Recovery: ${counted(failed, "step")} failed` : "Recovery succeeded",
        steps.map((step) => [step.step, `${step.ok ? "done" : "failed"}: ${step.detail}`]),
      );
    });
  }
});

function status(now) {
  inFlight = now.in_flight;
  const isDraining = now.phase === "draining";
  if ($("resume").hidden === isDraining || isFirst) {
    const hadFocus = document.activeElement === $("drain") || document.activeElement === $("resume");
    isFirst = false;
    $("resume").hidden = !isDraining;
    $("drain").hidden = isDraining;
    if (hadFocus) {
      $(isDraining ? "resume" : "drain").focus();
    }
  }
}

export const topics = { status };
