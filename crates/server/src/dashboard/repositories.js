// Repositories: locks and running changes live; status and recorded changes of the chosen one on demand.

import { get, post } from "./api.js";
import { ask, run } from "./dialogs.js";
import { $, Keyed, Pager, badge, h, mark, orEmpty, put, table, text } from "./dom.js";
import { NONE, ago, count, counted, duration } from "./format.js";

const PAGE = 10;
const TONES = { running: "warn", done: "good", failed: "bad", cancelled: "calm", interrupted: "bad", undone: "calm" };
/** The longest status that is shown. */
const MOST_TEXT = 100_000;

/** Where the chosen repository is below the list instead of beside it. */
const stacked = matchMedia("(max-width: 900px)");

let latest = { repositories: [], total: 0 };
let chosen = null;
let seen = "";
let journal = [];
let reading = 0;

const pager = new Pager($("repositories-pager"), PAGE, () => draw());
const journalPager = new Pager($("operations-pager"), 8, () => drawJournal());

/** The branch, or the commit without one. */
function head({ branch, head: commit }) {
  return branch ?? (commit ? `detached ${commit.slice(0, 8)}` : NONE);
}

const rows = table($("repositories-rows"), (repository) => repository.path, [
  {
    class: "clip grow",
    make: (cell, current) => {
      const press = () => choose(current().path);
      // Without room for the column of branches.
      cell.append(
        h("button", { type: "button", class: "link mono", click: press }),
        h("span", { class: "phone muted" }),
      );
    },
    show: (cell, repository) => {
      put(cell.firstChild, repository.path);
      cell.firstChild.title = repository.path;
      put(cell.lastChild, head(repository));
      mark(cell.firstChild, "aria-pressed", repository.path === chosen ? "true" : "false");
      mark(cell.parentNode, "data-chosen", repository.path === chosen);
    },
  },
  text(head, "clip branch minor"),
  {
    make: (cell) =>
      cell.append(...["warn", "warn", "calm"].map((tone) => h("span", { class: "badge", "data-tone": tone }))),
    show: (cell, { operation, locks: files, changes }) => {
      const words = [
        operation ?? "",
        files.length && counted(files.length, "lock"),
        changes.length && counted(changes.length, "change"),
      ];
      words.forEach((word, at) => {
        put(cell.children[at], word || "");
        cell.children[at].hidden = !word;
      });
    },
  },
]);

function draw() {
  const wanted = $("repositories-find").value.trim().toLowerCase();
  const has = (repository) =>
    [repository.path, repository.branch ?? ""].some((part) => part.toLowerCase().includes(wanted));
  const found = latest.repositories.filter(has);
  const left = latest.total - latest.repositories.length;
  rows.show(pager.slice(found, left > 0 ? `, ${count(left)} more not shown` : ""));
  orEmpty("repositories", found.length);
}

$("repositories-find").addEventListener("input", () => {
  pager.first();
  draw();
});

function choose(path) {
  chosen = path;
  seen = "";
  journal = [];
  $("repository-none").hidden = true;
  $("repository-one").hidden = false;
  $("repository-text").hidden = true;
  put($("repository-name"), path);
  journalPager.first();
  draw();
  drawChosen();
  drawJournal();
  if (stacked.matches) {
    $("repository").scrollIntoView({ block: "start" });
  }
}

const locks = new Keyed(
  $("locks-rows"),
  (item) => item.key,
  () => {
    const node = h("li");
    return { node, update: (item) => put(node, item.text) };
  },
);

function drawChosen() {
  if (chosen === null) {
    return;
  }
  const now = latest.repositories.find((repository) => repository.path === chosen);
  if (!now) {
    put($("repository-note"), "No longer open in the server.");
    locks.show([]);
    return;
  }
  const at = now.head ? ` at ${now.head.slice(0, 12)}` : ", no commit yet";
  const trust = now.trusted ? "trusted, so its hooks and filters run" : "untrusted, so none of its hooks and filters run";
  const operation = now.operation ? ` A ${now.operation} is in progress.` : "";
  put($("repository-note"), `${now.branch ?? "Detached"}${at}; ${trust}.${operation}`);
  locks.show([
    ...now.locks.map((lock) => ({
      key: `lock ${lock.file}`,
      text: lock.stale
        ? `Lock: ${lock.file}, ${duration(lock.age_ms)} old, held by no process: git_maintenance with remove_locks removes it`
        : `Lock: ${lock.file}, held for ${duration(lock.age_ms)}`,
    })),
    ...now.changes.map((change) => ({ key: change.call, text: `${change.tool} (${change.call}) ${change.state}` })),
  ]);
  // A change has begun or ended, so the journal has too.
  const state = `${now.head} ${now.changes.map((change) => change.call).join()}`;
  if (state !== seen) {
    seen = state;
    readJournal();
  }
}

const journalRows = table($("operations-rows"), (operation) => operation.id, [
  text((operation) => operation.tool, "mono"),
  badge((operation) => [operation.state, TONES[operation.state] ?? "calm"]),
  text((operation) => operation.principal || NONE, "clip minor"),
  text((operation) => ago(operation.started_ms), "number"),
  text(
    (operation) => (operation.ended_ms === null ? NONE : duration(operation.ended_ms - operation.started_ms)),
    "number minor",
  ),
]);

async function readJournal() {
  const path = chosen;
  reading += 1;
  const mine = reading;
  try {
    const { operations } = await get("operations", { repository: path });
    if (mine === reading) {
      journal = operations;
      put($("operations-empty"), "No recorded change.");
      drawJournal();
    }
  } catch (err) {
    if (mine === reading) {
      journal = [];
      put($("operations-empty"), `The recorded changes could not be read: ${err.message}.`);
      drawJournal();
    }
  }
}

function drawJournal() {
  journalRows.show(journalPager.slice(journal));
  orEmpty("operations", journal.length);
}

$("repository-status").addEventListener("click", (event) =>
  run(event.currentTarget, async () => {
    const path = chosen;
    const { text: status } = await get("repositories/status", { repository: path });
    if (path === chosen) {
      put($("repository-text"), status.slice(0, MOST_TEXT));
      $("repository-text").hidden = false;
    }
  }),
);

$("repository-undo").addEventListener("click", (event) => {
  const button = event.currentTarget;
  run(button, async () => {
    const repository = chosen;
    const preview = await post("operations/undo", { repository });
    const answer = await ask({
      title: preview.id === null ? "Nothing to undo" : "Undo the last change?",
      text: [repository],
      detail: preview.text,
      confirm: preview.id === null ? null : "Undo this change",
      cancel: preview.id === null ? "Close" : "Cancel",
    });
    if (!answer) {
      return null;
    }
    const { text: done } = await post("operations/undo", { repository, id: preview.id });
    if (repository === chosen) {
      readJournal();
    }
    return done.split("\n")[0];
  });
});

function repositories(now) {
  latest = now;
  put($("repositories-count"), count(now.total));
  const busy = now.repositories.filter((repository) => repository.locks.length > 0).length;
  put($("nav-repositories"), busy === 0 ? "" : counted(busy, "lock"));
  draw();
  drawChosen();
}

export const topics = { repositories };
