// Questions and results: modal dialogs that return the focus, and messages in a live region.

import { $, h, put } from "./dom.js";

const MAX_MESSAGES = 4;
const SHOWN_FOR = 8000;
let number = 0;

/**
 * Asks, and resolves to the values of the fields by name, or to null if the reader declines.
 * A field has `name`, `label` and `value`, and either `options` as pairs of value and label, or attributes in `input`.
 */
export function ask({ title, text = [], detail = null, fields = [], confirm, tone = "danger", cancel = "Cancel" }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => [field.name, input(field)]);
    const labels = fields.map((field, at) => h("label", { class: "field" }, h("span", {}, field.label), inputs[at][1]));
    let answer = null;
    const submit = (event) => {
      event.preventDefault();
      answer = Object.fromEntries(inputs.map(([name, node]) => [name, node.value]));
      dialog.close();
    };
    const decline = h("button", { type: "button", click: () => dialog.close() }, cancel);
    const accept = confirm && h("button", { type: "submit", class: "primary", "data-tone": tone }, confirm);
    const shown = detail !== null && h("pre", { tabindex: "0", role: "group", "aria-label": "Details" }, detail);
    const lines = text.map((line) => h("p", {}, line));
    const form = h(
      "form",
      { submit },
      ...lines,
      shown || null,
      ...labels,
      h("div", { class: "buttons" }, decline, accept),
    );
    const dialog = open(title, form, () => resolve(answer));
    // The safe answer has the focus, unless there is something to fill in.
    (inputs[0]?.[1] ?? decline).focus();
  });
}

function input({ name, value = "", options, input: attributes = {} }) {
  if (!options) {
    return h("input", { name, value, autocomplete: "off", ...attributes });
  }
  return h(
    "select",
    { name },
    ...options.map(([option, label]) => h("option", { value: option, selected: option === value }, label)),
  );
}

/** Shows pairs of a name and a value, with buttons as pairs of a label and a function. */
export function details(title, pairs, buttons = []) {
  const list = h(
    "dl",
    { class: "pairs" },
    ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]),
  );
  const press = ([label, act, attributes = {}]) => {
    const close = () => {
      dialog.close();
      act();
    };
    return h("button", { type: "button", click: close, ...attributes }, label);
  };
  const close = h("button", { type: "button", click: () => dialog.close() }, "Close");
  const body = h("div", {}, list, h("div", { class: "buttons" }, close, ...buttons.map(press)));
  const dialog = open(title, body, () => {});
  close.focus();
}

function open(title, body, closed) {
  const id = `dialog-${++number}`;
  const opener = document.activeElement;
  const dialog = h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), body);
  const panel = opener?.closest("section");
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) {
      opener.focus();
    } else {
      panel?.querySelector("h2")?.focus();
    }
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Reports a result: for a while, or an error until it is dismissed. */
export function report(text, isError = false) {
  const host = $("messages");
  const close = h(
    "button",
    { type: "button", class: "small", "aria-label": "Dismiss message", click: () => message.remove() },
    "×",
  );
  const message = h("div", { class: "message", "data-tone": isError ? "bad" : "good" }, h("p", {}, text), close);
  host.append(message);
  while (host.childElementCount > MAX_MESSAGES) {
    host.firstElementChild.remove();
  }
  if (!isError) {
    setTimeout(() => message.remove(), SHOWN_FOR);
  }
}

/** Runs a change for a button, once at a time, and reports the sentence that it returns or the error. */
export async function run(button, work) {
  if (button.getAttribute("aria-disabled") === "true") {
    return;
  }
  // `disabled` would drop the focus.
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-busy", "true");
  try {
    const result = await work();
    if (result) {
      report(result);
    }
  } catch (err) {
    report(err.message, true);
  } finally {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-busy");
  }
}

/** Copies a command, and reports it. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    put(button, "Copied");
    setTimeout(() => put(button, "Copy"), 2000);
  } catch {
    report("The browser does not permit copying. Select the command instead.", true);
  }
}
