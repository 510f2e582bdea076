/**
 * Prints the events of all mixes, one JSON object a line, until it is stopped.
 *
 *     node samples/watch-events.ts ws://127.0.0.1:8080/rpc [token]
 */
const [address = "ws://127.0.0.1:8080/rpc", token] = process.argv.slice(2);

const socket = new WebSocket(address, token ? ["tessera", `bearer.${token}`] : []);
socket.addEventListener("open", () => {
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {} }));
});
socket.addEventListener("message", ({ data }) => {
  const message = JSON.parse(String(data)) as { method?: string; params?: object };
  if (message.method === "event") console.log(JSON.stringify(message.params));
});
socket.addEventListener("close", ({ code, reason }) => {
  console.error(`closed: ${code} ${reason}`);
  process.exitCode = 1;
});
