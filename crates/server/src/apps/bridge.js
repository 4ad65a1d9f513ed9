"use strict";
// The connection to the host: JSON-RPC 2.0 over postMessage, as MCP Apps 2026-01-26 defines it.

const PROTOCOL = "2026-01-26";
/** The height in pixels that a view asks for at most where the host sets no limit. It scrolls beyond. */
const TALLEST = 720;
/** Actions of the user that the model's context has at most. */
const MOST_FACTS = 10;
/** The style variables that a host may set. */
const VARIABLE = /^--(color|font|border|shadow)-[a-z0-9-]+$/;

class Host {
  #next = 1;
  #waiting = new Map();
  #handlers;
  #height = 0;
  #hasInput = false;
  #facts = [];
  context = {};
  capabilities = {};

  /** `handlers`: `input(arguments)`, `result(result)`, `cancelled(reason)` and `changed(context)`. */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** Connects the view called `name`. */
  async connect(name) {
    window.addEventListener("message", (event) => {
      if (event.source === window.parent) this.#receive(event.data);
    });
    const answer = await this.request("ui/initialize", {
      appInfo: { name, version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
      protocolVersion: PROTOCOL,
    });
    this.capabilities = answer.hostCapabilities ?? {};
    this.#merge(answer.hostContext ?? {});
    this.notify("ui/notifications/initialized", {});
    new ResizeObserver(() => this.#resized()).observe(document.body);
  }

  request(method, params) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#post({ id, method, params });
    return answer;
  }

  notify(method, params) {
    this.#post({ method, params });
  }

  /** Whether the host passes tool calls to the server. */
  get canCall() {
    return this.capabilities.serverTools !== undefined;
  }

  /** Calls a tool of the server. A failed call rejects with the server's message. */
  async call(name, args) {
    const result = await this.request("tools/call", { name, arguments: args });
    if (result.isError) throw new Error(textOf(result) || `${name} failed`);
    return result;
  }

  /** Adds a sentence to the model's context, if the host supports it. Each request replaces the one before. */
  inform(text) {
    if (!this.capabilities.updateModelContext) return;
    this.#facts = [...this.#facts, text].slice(-MOST_FACTS);
    this.request("ui/update-model-context", { content: [{ type: "text", text: this.#facts.join("\n") }] }).catch(() => {});
  }

  get canFill() {
    return (this.context.availableDisplayModes ?? []).includes("fullscreen");
  }

  get isFull() {
    return this.context.displayMode === "fullscreen";
  }

  /** Switches between the inline and the full view. */
  async toggleFull() {
    const answer = await this.request("ui/request-display-mode", { mode: this.isFull ? "inline" : "fullscreen" });
    this.#merge({ displayMode: answer.mode });
  }

  #post(message) {
    // The origin of the parent is unknown to a view. What it sends are requests, which the host judges.
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  #receive(message) {
    if (message?.jsonrpc !== "2.0") return;
    if (message.method === undefined) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(message.error.message ?? "the host refused"));
      else waiting?.resolve(message.result ?? {});
    } else if (message.id === undefined) {
      this.#notified(message.method, message.params ?? {});
    } else if (message.method === "ping" || message.method === "ui/resource-teardown") {
      this.#post({ id: message.id, result: {} });
    } else {
      this.#post({ id: message.id, error: { code: -32601, message: "method not found" } });
    }
  }

  #notified(method, params) {
    switch (method) {
      case "ui/notifications/tool-input":
        this.#hasInput = true;
        return this.#handlers.input?.(params.arguments ?? {});
      case "ui/notifications/tool-result":
        // Some hosts send no arguments if there are none.
        if (!this.#hasInput) this.#handlers.input?.({});
        return this.#handlers.result?.(params);
      case "ui/notifications/tool-cancelled":
        return this.#handlers.cancelled?.(params.reason ?? "");
      case "ui/notifications/host-context-changed":
        return this.#merge(params);
      default:
        return undefined;
    }
  }

  #merge(context) {
    this.context = { ...this.context, ...context };
    const root = document.documentElement;
    if (context.theme === "light" || context.theme === "dark") root.style.setProperty("color-scheme", context.theme);
    for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
      if (VARIABLE.test(name) && typeof value === "string") root.style.setProperty(name, value);
    }
    root.classList.toggle("full", this.isFull);
    this.#resized();
    this.#handlers.changed?.(this.context);
  }

  #resized() {
    if (this.isFull || this.context.containerDimensions?.height !== undefined) return;
    const most = this.context.containerDimensions?.maxHeight ?? TALLEST;
    const height = Math.min(Math.ceil(document.body.getBoundingClientRect().height), most);
    if (height !== this.#height) {
      this.#height = height;
      this.notify("ui/notifications/size-changed", { height });
    }
  }
}

/** The text of a tool's result. */
function textOf(result) {
  return (result.content ?? [])
    .filter((block) => block.type === "text")
    .map((block) => block.text)
    .join("\n");
}
