// Small pieces of a page. Text always enters as text.

/** An element with properties (`class`, `text`, `onclick`, attributes) and children. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element of a drawing. */
function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function byId(id) {
  return document.getElementById(id);
}

function button(text, onclick, properties = {}) {
  return el("button", { type: "button", text, onclick, ...properties });
}

/** A button that asks once more before it acts. */
function askingButton(text, question, onclick, properties = {}) {
  const box = el("span", { class: "asking" });
  const ask = button(text, () => {
    const keep = button("Keep", () => box.replaceChildren(ask), { class: "quiet" });
    box.replaceChildren(button(question, onclick, { class: "danger" }), keep);
    keep.focus();
  }, properties);
  box.append(ask);
  return box;
}

/** Shows a message below the heading; `kind` is `info` or `error`. */
function report(message, kind = "info", ...actions) {
  const line = byId("report");
  line.className = kind;
  line.hidden = message === "";
  line.replaceChildren(el("span", { class: "words", text: message }), ...actions);
}

/** Runs `work` with the page marked as busy, and reports its failure. Returns whether it succeeded. */
async function busy(work) {
  const main = byId("main");
  main.setAttribute("aria-busy", "true");
  document.documentElement.classList.add("busy");
  try {
    await work();
    return true;
  } catch (error) {
    report(plainText(error.message), "error");
    return false;
  } finally {
    main.removeAttribute("aria-busy");
    document.documentElement.classList.remove("busy");
  }
}

/** Redraws `root`. The focus stays at the place it had among the buttons. */
function keepingFocus(root, redraw) {
  const buttons = () => [...root.querySelectorAll("button:not(:disabled), summary, input")];
  const at = buttons().indexOf(document.activeElement);
  redraw();
  const now = buttons();
  if (at >= 0 && now.length > 0) now[Math.min(at, now.length - 1)].focus();
}

/** A message without the marks of the server's own lines. */
function plainText(text) {
  return linesOf(text)
    .map((line) => line.text)
    .join("\n");
}

/** Adds the button for the full view if the host has one. */
function offerFull(host) {
  const toggle = byId("full");
  toggle.hidden = !host.canFill;
  toggle.textContent = host.isFull ? "Exit full screen" : "Full screen";
}

/** The arguments that place a call in the same repository. */
function placeOf(args) {
  const place = {};
  for (const name of ["repo_path", "workspace"]) if (args[name] !== undefined) place[name] = args[name];
  return place;
}
