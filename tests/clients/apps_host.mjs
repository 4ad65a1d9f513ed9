// The page of a host, built on the SDK's bridge. `show` opens a view; the test passes its calls to the server.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

const NAME = { name: "test", version: "1" };
const CAPABILITIES = { serverTools: {}, serverResources: {}, logging: {}, updateModelContext: { text: {} } };

/** Opens the view `html` in the sandbox at `address`, and passes it the arguments and the result of its tool. */
window.show = async ({ address, html, input, result, theme, capabilities = CAPABILITIES, width = 900 }) => {
  const frame = document.createElement("iframe");
  frame.title = "sandbox";
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
  frame.style.width = `${width}px`;
  const isReady = new Promise((resolve) => {
    const listen = ({ source, data }) => {
      if (source !== frame.contentWindow || data?.method !== "ui/notifications/sandbox-proxy-ready") return;
      window.removeEventListener("message", listen);
      resolve();
    };
    window.addEventListener("message", listen);
  });
  document.documentElement.style.colorScheme = theme;
  document.body.append(frame);
  frame.src = address;
  await isReady;
  const hostContext = { theme, displayMode: "inline", availableDisplayModes: ["inline", "fullscreen"], containerDimensions: { width, maxHeight: 900 } };
  const bridge = new AppBridge(null, NAME, capabilities, { hostContext });
  bridge.oncalltool = (params) => window.callTool(params);
  bridge.onupdatemodelcontext = async ({ content }) => {
    await window.informed(content[0].text);
    return {};
  };
  bridge.onrequestdisplaymode = async ({ mode }) => ({ mode });
  bridge.onsizechange = ({ height }) => {
    frame.style.height = `${height}px`;
  };
  const isInitialized = new Promise((resolve) => {
    bridge.oninitialized = resolve;
  });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await bridge.sendSandboxResourceReady({ html });
  await isInitialized;
  await bridge.sendToolInput({ arguments: input });
  await bridge.sendToolResult(result);
};
