import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../service/fixtures/node.ts";
import { TestWeb } from "../web/fixture.ts";

let web: TestWeb;
beforeAll(async () => {
  web = await TestWeb.open({ token: "node-token" });
});
afterAll(() => web[Symbol.asyncDispose]());

/** Starts a sample with the Node that runs this. */
function start(...argv: string[]): { readonly child: ChildProcess; readonly lines: string[] } {
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => lines.push(...text.trim().split("\n")));
  return { child, lines };
}

test("mix-over-http.ts makes a mix, tells of it and closes it, while watch-events.ts prints its events", async () => {
  const events = start("samples/watch-events.ts", `${web.url.replace("http", "ws")}/rpc`, "node-token");
  try {
    // It has subscribed when the first event comes: sources are added until one does.
    await web.node.call("mix.create", { id: "m" }, "node-token");
    await until(async () => {
      await web.node.call("source.add", { mix: "m", source: { kind: "test" } }, "node-token");
      return events.lines.length > 0;
    }, "the first event");
    const { child, lines } = start("samples/mix-over-http.ts", web.url, "1", "node-token");
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^\d+ pictures, \d+ late, recording \w+, \d+ bytes$/)]);
    const types = (): string[] => events.lines.map((line) => JSON.parse(line).type);
    await until(() => types().includes("mix.closed"), "the end of the mix");
    expect(types()).toEqual(expect.arrayContaining(["mix.created", "output.live", "mix.closed"]));
  } finally {
    events.child.kill();
    await once(events.child, "exit");
  }
});
