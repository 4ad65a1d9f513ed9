// The lanes of a commit graph: which lines cross each row, and where they turn.

/**
 * Lays out `commits`, each with `id` and `parents`, children before parents. Returns a row for each commit:
 * `lane` and `color` of its dot, `lines` as `{ from, to, color, part }` with `part` "top" for a line that ends at the dot,
 * "bottom" for one that starts there, "whole" for one that passes; `after` are the lanes in use below the row.
 */
function lanesOf(commits) {
  const lanes = [];
  let colors = 0;
  const free = () => {
    const at = lanes.findIndex((lane) => lane === null);
    return at === -1 ? lanes.length : at;
  };
  return commits.map(({ id, parents }) => {
    const waiting = lanes.flatMap((lane, at) => (lane?.id === id ? [at] : []));
    const lane = waiting[0] ?? free();
    const color = waiting.length > 0 ? lanes[lane].color : colors++;
    const lines = lanes.flatMap((one, at) => {
      if (one === null) return [];
      return one.id === id ? [{ from: at, to: lane, color: one.color, part: "top" }] : [{ from: at, to: at, color: one.color, part: "whole" }];
    });
    for (const at of waiting) lanes[at] = null;
    parents.forEach((parent, nth) => {
      const there = nth === 0 ? -1 : lanes.findIndex((one) => one?.id === parent);
      const at = nth === 0 ? lane : there === -1 ? free() : there;
      if (there === -1) lanes[at] = { id: parent, color: nth === 0 ? color : colors++ };
      lines.push({ from: lane, to: at, color: lanes[at].color, part: "bottom" });
    });
    if (parents.length === 0 && lane === lanes.length) lanes.push(null);
    while (lanes.length > 0 && lanes.at(-1) === null) lanes.pop();
    return { lane, color, lines, after: lanes.flatMap((one, at) => (one ? [{ lane: at, color: one.color }] : [])) };
  });
}

/** Commits of several listings, each once, children before parents, otherwise newest first. */
function merged(listings) {
  const all = new Map();
  for (const listing of listings) for (const commit of listing) if (!all.has(commit.id)) all.set(commit.id, commit);
  const children = new Map([...all.keys()].map((id) => [id, 0]));
  for (const { parents } of all.values()) {
    for (const parent of parents) if (children.has(parent)) children.set(parent, children.get(parent) + 1);
  }
  const order = [];
  const ready = [...all.values()].filter((commit) => children.get(commit.id) === 0);
  while (ready.length > 0) {
    let newest = 0;
    ready.forEach((commit, at) => {
      if (Date.parse(commit.date) > Date.parse(ready[newest].date)) newest = at;
    });
    const [commit] = ready.splice(newest, 1);
    order.push(commit);
    for (const parent of commit.parents) {
      if (!children.has(parent)) continue;
      children.set(parent, children.get(parent) - 1);
      if (children.get(parent) === 0) ready.push(all.get(parent));
    }
  }
  return order;
}
