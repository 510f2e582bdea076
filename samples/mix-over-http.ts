/**
 * Creates a mix over JSON-RPC, watches it for a while, and closes it.
 *
 *     node samples/mix-over-http.ts http://127.0.0.1:8080 10 [token]
 *
 * It prints one line a second: pictures composed, how many were late, and what the recording holds.
 */
const [node = "http://127.0.0.1:8080", seconds = "10", token] = process.argv.slice(2);

interface Stats {
  readonly views: readonly { readonly ticks: number; readonly late: number }[];
  readonly outputs: readonly { readonly state: string; readonly bytes: number; readonly path?: string }[];
}

async function call<Result>(method: string, params: object): Promise<Result> {
  const response = await fetch(new URL("/rpc", node), {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = (await response.json()) as { result: Result; error?: { message: string } };
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

const { id: mix } = await call<{ id: string }>("mix.create", {
  name: "Two guests",
  sources: [
    { id: "ada", name: "Ada", kind: "test", pattern: "moving", tone: 440 },
    { id: "ben", name: "Ben", kind: "test", pattern: "counter" },
  ],
  outputs: [{ id: "recording", kind: "file", path: "two-guests.mp4" }],
});

for (let second = 1; second <= Number(seconds); second++) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { views, outputs } = await call<Stats>("mix.stats", { mix });
  const [view, recording] = [views[0], outputs[0]];
  console.log(
    `${view?.ticks} pictures, ${view?.late} late, recording ${recording?.state}, ${recording?.bytes} bytes`,
  );
}

await call("mix.close", { mix });
